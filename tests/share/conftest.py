"""Two houses that share the key of a circle: one operator in both logs, with one template and other accounts."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stillwatch.arena import Operator, Recipe, generate
from stillwatch.examine import Options
from stillwatch.findings import Result
from stillwatch.keys import Keys
from stillwatch.peers import Peers, Tlp, merge
from stillwatch.scan import scan
from stillwatch.share.finding import Asked, Shared, gather
from stillwatch.sketching import Source

CIRCLE = b"a circle's key for tests, no more"
TEMPLATE = (
    "Grade the response below against the rubric. Score every criterion from 1 to 5, justify each score in one sentence "
    "and give the total. Then state which criterion decided the total and what a perfect response would have said instead."
)
AT = dt.datetime(2026, 4, 1, 9, 30, tzinfo=dt.UTC)
LOUD = Operator(
    name="one",
    accounts=30,
    camouflage=0.5,
    prompt=TEMPLATE,
    objectives=("rubric_grading",),
    share_address="all",
)
QUIET = replace(
    LOUD, accounts=19, exchanges_per_account=20.0, hours="human", share_payment="none",
    share_address="none", accounts_opened="organic", reach="organic",
)  # fmt: skip


@dataclass(frozen=True)
class House:
    """An installation with a log, a local key and the circle's key."""

    log: Path
    keys: Keys
    folder: Path
    result: Result
    truth: pa.Table

    def scan(self, options: Options | None = None, name: str = "again", keys: Keys | None = None) -> Result:
        return scan(Source((self.log,)), self.folder / name, keys or self.keys, options or Options())

    @property
    def operated(self) -> set[str]:
        """Accounts that the operator sent extraction through."""
        rows = self.truth.to_pylist()
        return {row["account_id"] for row in rows if row["operator_id"]}


def build(folder: Path, seed: int, operator: Operator, key: bytes) -> House:
    log, truth = generate(Recipe(seed=seed, innocents=300, exchanges=6_000, operators=(operator,)))
    folder.mkdir()
    pq.write_table(log, folder / "log.parquet")
    keys = Keys(local=key, circle=CIRCLE)
    result = scan(Source((folder / "log.parquet",)), folder / "result", keys, Options())
    return House(folder / "log.parquet", keys, folder, result, truth)


@pytest.fixture(scope="session")
def loud(tmp_path_factory: pytest.TempPathFactory) -> House:
    """Where the operator is easily found."""
    return build(tmp_path_factory.mktemp("houses") / "loud", 11, LOUD, b"the local key of the first house")


@pytest.fixture(scope="session")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> House:
    """Where the same operator is careful, and is not enough by itself: by 2.7 to 2.9 bits under each of six keys."""
    return build(tmp_path_factory.mktemp("houses") / "quiet", 93, QUIET, b"the local key of the second one")


def asked(campaigns: tuple[str, ...], **more: object) -> Asked:
    plain = Asked(campaigns, False, "House A", Tlp.AMBER, dt.timedelta(days=180), dt.timedelta(days=3), 100)
    return replace(plain, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def shared(loud: House) -> Shared:
    """What the first house tells of its campaign."""
    (campaign,) = loud.result.campaigns
    return gather(loud.folder / "result", asked((campaign["campaign_id"],)), loud.keys, AT)


@pytest.fixture(scope="session")
def heard(shared: Shared) -> Peers:
    """What the second house keeps of it."""
    pytest.importorskip("stix2")
    import json

    from stillwatch.share.intake import take
    from stillwatch.share.stix import bundle

    objects = json.loads(bundle(shared).serialize())["objects"]
    return merge(shared.circle, [take(objects, shared.circle, AT).peers])

"""What a whole case runs in: the pages, the service that gateways ask, LiteLLM's proxy, and four people at Chromium."""

from __future__ import annotations

import datetime as dt
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stillwatch.arena import Operator, Recipe, simulate
from stillwatch.keys import Keys
from stillwatch.scan import Options, scan
from stillwatch.sketching import Source
from tests.review.people import People
from tests.review.programs import Programs

KEYS = Keys(local=b"a key for the tests of a whole case")
MIDDLE = dt.datetime(2026, 3, 9, tzinfo=dt.UTC)
RECIPE = Recipe(
    innocents=400,
    exchanges=8_000,
    operators=(
        Operator(
            name="moving", accounts=30, exchanges_per_account=40, camouflage=0.5, replacement="random_days",
            objectives=("rubric_grading",), share_network="all", share_address="some",
        ),
        Operator(name="bold", accounts=40, exchanges_per_account=30, camouflage=0.5),
    ),
)  # fmt: skip
POLICY = '[enforcement]\nfollowed = 500\nspread = "0s"\n'
FOLLOWS_SECONDS = 60
"""Within which the proxy must follow a decision; it asks every second, on a machine that may be busy."""


@dataclass
class House:
    """What runs, and what came of the case so far."""

    folder: Path
    address: str
    gateway: str
    people: People
    first: set[str]
    """Accounts of the operator in the first week."""
    later: set[str]
    """Those that replaced them, seen in the second week alone."""
    innocent: str
    """An account of nobody's campaign."""
    programs: Programs
    case: str = ""
    hit: list[str] = field(default_factory=list)
    """Accounts that the decision hit when it was made."""
    link: str = ""
    """The path of the appeal's link."""

    def page(self, name: str) -> Any:
        return self.people.pages[name]

    def run(self, *told: str) -> str:
        from gateway_checks import stillwatch

        return stillwatch(self.folder, *told)

    def status(self, account: str) -> int:
        """What LiteLLM's proxy answers an account."""
        body = {
            "model": "frontier-small",
            "messages": [{"role": "user", "content": "How do I poach an egg?"}],
        }
        asked = urllib.request.Request(
            f"{self.gateway}/v1/chat/completions",
            json.dumps(body).encode(),
            {"authorization": f"Bearer sk-{account}", "content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def comes_to(self, account: str, status: int) -> bool:
        """Whether the proxy comes to answer an account so."""
        until = time.monotonic() + FOLLOWS_SECONDS
        while (found := self.status(account)) != status and time.monotonic() < until:
            time.sleep(0.5)
        return found == status


@contextmanager
def whole_house(folder: Path, programs: Programs) -> Iterator[House]:
    """A week of logs, scanned and loaded; the pages, the service that gateways ask, the proxy, and the browser."""
    from playwright.sync_api import sync_playwright

    from gateway_checks import plug_ins, stillwatch, watch
    from litellm_proxy import ACCOUNTS, CONFIG, pasted_block, proxy
    from review_program import pages
    from running_program import free_port

    first, later, innocent = _weeks(folder)
    (folder / "policy.toml").write_text("version = 1\n" + POLICY)
    told = ("--policy", str(folder / "policy.toml"))
    stillwatch(folder, "review", "load", str(folder / "week-1"), "--by", "night", *told)
    may = ("--may", "decide", "--tokens", str(folder / "tokens.json"))
    token = stillwatch(folder, "token", "add", "litellm", *may)
    config = CONFIG.replace('"generic_api", ', "") + pasted_block("litellm", "guardrails:")
    with ExitStack() as running:
        address, password = running.enter_context(pages(folder, *told))
        service, _ = running.enter_context(watch(folder, free_port()))
        more = {
            "STILLWATCH_URL": service, "STILLWATCH_TOKEN": token, "STILLWATCH_TIMEOUT_S": "20",
            "PYTHONPATH": f"{folder}:{plug_ins(folder)}",
        }  # fmt: skip
        # Keys that are the accounts' names: the proxy tells them as they are, so the pictures are legible.
        named = ACCOUNTS.replace("api_key=api_key", "api_key=account")
        gateway = running.enter_context(proxy(programs.litellm, folder, "", config, more, named))
        driver = running.enter_context(sync_playwright())
        browser = driver.chromium.launch(executable_path=programs.browser, args=["--no-sandbox"])
        running.callback(browser.close)
        people = People(browser, address, programs.pictures)
        people.come("admin", password)
        for name, role in (("ann", "analyst"), ("bob", "approver"), ("cyd", "approver")):
            people.come(name, people.add(name, role))
        yield House(folder, address, gateway, people, first, later, innocent, programs)


def _weeks(folder: Path) -> tuple[set[str], set[str], str]:
    """Scan the first week, then both; who works for the operator in the first, who later, and somebody innocent."""
    simulate(RECIPE, folder / "log")
    log = pq.read_table(folder / "log" / "exchanges.parquet")
    early = pc.less(log["started_at"], pa.scalar(MIDDLE))
    pq.write_table(log.filter(early), folder / "log" / "week-1.parquet")
    for name, file in (("week-1", "week-1"), ("week-2", "exchanges")):
        scan(Source((folder / "log" / f"{file}.parquet",)), folder / name, KEYS, Options())
    truth = pq.read_table(folder / "log" / "truth.parquet")
    seen = set(log.filter(early)["exchange_id"].to_pylist())
    rows = truth.select(["exchange_id", "account_id", "operator_id", "extraction"]).to_pylist()
    guilty = [row for row in rows if row["extraction"] and row["operator_id"] == "moving"]
    first = {row["account_id"] for row in guilty if row["exchange_id"] in seen}
    later = {row["account_id"] for row in guilty} - {
        row["account_id"] for row in rows if row["exchange_id"] in seen
    }
    taken = {row["account_id"] for row in rows if row["operator_id"]}
    return first, later, min({row["account_id"] for row in rows} - taken)

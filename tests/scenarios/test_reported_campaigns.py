"""Campaigns of the shape that was reported in public, scaled down, and one that hides in a crowd of all kinds."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from stillwatch.arena import Operator, Recipe, generate
from stillwatch.findings import Result
from tests.scans import extraction_campaigns, having, operated, scan_log

# 150 thousand, 3.4 million and 13 million exchanges over some 24,000 accounts, all divided by a hundred.
pytestmark = pytest.mark.slow

REPORTED = (
    Operator(
        name="reasoner", accounts=24, exchanges_per_account=62.5, camouflage=0.3,
        objectives=("elicited_reasoning", "rubric_grading", "safe_rewriting"),
        share_payment="all", hours="paced",
    ),
    Operator(
        name="worker", accounts=68, exchanges_per_account=500.0, camouflage=0.2,
        objectives=("agentic_trajectory", "coding_drill", "data_analysis"), share_payment="none",
    ),
    Operator(
        name="coder", accounts=200, exchanges_per_account=650.0, camouflage=0.1, pivot=True,
        objectives=("agentic_trajectory", "coding_drill"),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[pa.Table, pa.Table, Result]:
    recipe = Recipe(seed=9501, innocents=1_500, exchanges=30_000, operators=REPORTED)
    log, truth = generate(recipe)
    return log, truth, scan_log(log, tmp_path_factory.mktemp("reported"))


def test_the_log_has_the_reported_sizes(reported: tuple[pa.Table, pa.Table, Result]) -> None:
    _, truth, _ = reported
    sizes = truth.filter(truth["extraction"])["operator_id"].value_counts().to_pylist()
    assert {row["values"]: row["counts"] for row in sizes} == {
        "reasoner": 1_500, "worker": 34_000, "coder": 130_000,
    }  # fmt: skip


def test_three_campaigns_are_told_apart(reported: tuple[pa.Table, pa.Table, Result]) -> None:
    _, truth, result = reported
    operators = operated(truth)
    found = extraction_campaigns(result)
    owners = [{name for name, own in operators.items() if own & members} for members in found]
    assert sorted(map(sorted, owners)) == [["coder"], ["reasoner"], ["worker"]]


def test_each_holds_its_operator_and_nobody_else(reported: tuple[pa.Table, pa.Table, Result]) -> None:
    _, truth, result = reported
    everybody = set().union(*extraction_campaigns(result))
    for own in operated(truth).values():
        assert len(own & everybody) >= 0.98 * len(own)
    assert having(result, "extraction") <= set().union(*operated(truth).values())


def test_what_they_took_is_listed(reported: tuple[pa.Table, pa.Table, Result]) -> None:
    _, truth, result = reported
    taken = truth.filter(truth["extraction"])["exchange_id"]
    right = pc.sum(pc.is_in(result.matches["exchange_id"], value_set=taken)).as_py()
    assert right >= 0.98 * result.matches.num_rows
    assert right >= 0.95 * len(taken)


@pytest.mark.parametrize(("seed", "text"), [(9511, "a"), (9512, "b")])
def test_two_hundred_accounts_at_nine_tenths_camouflage_are_found_and_nobody_else(
    seed: int, text: str, tmp_path: Path
) -> None:
    operator = Operator(accounts=200, camouflage=0.9)
    log, truth = generate(Recipe(seed=seed, text=text, innocents=3_500, operators=(operator,)))
    (own,) = operated(truth).values()
    assert len(own) == 200
    result = scan_log(log, tmp_path)
    found = having(result, "extraction")
    assert found <= own
    assert len(found) >= 0.95 * len(own)
    assert len(extraction_campaigns(result)) == 1

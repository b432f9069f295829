"""Campaigns of the shape that was reported in public, scaled down, and one that hides in a crowd of all kinds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from stillwatch.arena import Operator, Recipe, generate
from stillwatch.findings import Result
from tests.scans import extraction_campaigns, having, operated, scan_log

# 150 thousand, 3.4 million and 13 million exchanges over some 24,000 accounts, all divided by a hundred.
REPORTED = {"reasoner": 1_500, "worker": 34_000, "coder": 130_000}
REASONER = Operator(
    name="reasoner", accounts=24, camouflage=0.3, share_payment="all", hours="paced",
    objectives=("elicited_reasoning", "rubric_grading", "safe_rewriting"),
)  # fmt: skip
WORKER = Operator(
    name="worker", accounts=68, camouflage=0.2, share_payment="none",
    objectives=("agentic_trajectory", "coding_drill", "data_analysis"),
)  # fmt: skip
CODER = Operator(
    name="coder", accounts=200, camouflage=0.1, pivot=True, objectives=("agentic_trajectory", "coding_drill")
)


def sized(operator: Operator, share: float) -> Operator:
    return replace(operator, exchanges_per_account=share * REPORTED[operator.name] / operator.accounts)


def under(prefix: str, table: pa.Table) -> pa.Table:
    """The table with exchanges named apart from those of another."""
    named = pc.binary_join_element_wise(prefix, table["exchange_id"], "")
    place = table.schema.get_field_index("exchange_id")
    return table.set_column(place, table.schema.field(place), named)


Reported = tuple[float, pa.Table, Result]


@pytest.fixture(
    scope="module",
    params=[0.125, pytest.param(1.0, marks=pytest.mark.slow)],
    ids=["eighth", "whole"],
)
def reported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """Share of the size, truth and result. Two of the three are after the same, with prompts of their own."""
    share = request.param
    known = sized(REASONER, share), sized(WORKER, share)
    first = generate(Recipe(seed=9501, innocents=1_500, exchanges=20_000, operators=known))
    second = generate(Recipe(seed=9502, text="b", innocents=0, exchanges=0, operators=(sized(CODER, share),)))
    log, truth = (pa.concat_tables([one, under("y", two)]) for one, two in zip(first, second, strict=True))
    return share, truth, scan_log(log, tmp_path_factory.mktemp("reported"))


def test_the_log_has_the_reported_sizes(reported: Reported) -> None:
    share, truth, _ = reported
    sizes = truth.filter(truth["extraction"])["operator_id"].value_counts().to_pylist()
    assert {row["values"]: row["counts"] for row in sizes} == {
        name: round(share * size) for name, size in REPORTED.items()
    }


def test_three_campaigns_are_told_apart(reported: Reported) -> None:
    _, truth, result = reported
    operators = operated(truth)
    found = extraction_campaigns(result)
    owners = [{name for name, own in operators.items() if own & members} for members in found]
    assert sorted(map(sorted, owners)) == [["coder"], ["reasoner"], ["worker"]]


def test_each_holds_its_operator_and_nobody_else(reported: Reported) -> None:
    _, truth, result = reported
    everybody = set().union(*extraction_campaigns(result))
    for own in operated(truth).values():
        assert len(own & everybody) >= 0.98 * len(own)
    assert having(result, "extraction") <= set().union(*operated(truth).values())


def test_what_they_took_is_listed(reported: Reported) -> None:
    _, truth, result = reported
    taken = truth.filter(truth["extraction"])["exchange_id"]
    right = pc.sum(pc.is_in(result.matches["exchange_id"], value_set=taken)).as_py()
    assert right >= 0.98 * result.matches.num_rows
    assert right >= 0.95 * len(taken)


@pytest.mark.parametrize("reported", [0.125], ids=["eighth"], indirect=True)
def test_a_campaign_can_be_read(reported: Reported) -> None:
    _, _, result = reported
    for campaign in result.campaigns:
        assert len(campaign["links"]) <= 20 * len(campaign["families"])


@pytest.mark.parametrize(("seed", "text"), [(9511, "a"), pytest.param(9512, "b", marks=pytest.mark.slow)])
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


@pytest.mark.parametrize("text", ["a", "b"])
def test_two_operators_who_have_three_accounts_in_common_are_two_campaigns(text: str, tmp_path: Path) -> None:
    """Accounts are sold on: a few that serve both do not make two operators one."""
    one = Operator(accounts=50, camouflage=0.5, objectives=("rubric_grading",), share_payment="none")
    two = replace(one, objectives=("maths_drill",))
    first, of_first = generate(Recipe(seed=9521, innocents=900, exchanges=12_000, operators=(one,)))
    second, of_second = generate(Recipe(seed=9522, text=text, innocents=0, exchanges=0, operators=(two,)))
    (own,), (other,) = operated(of_first).values(), operated(of_second).values()
    sold = {
        later: earlier for (later, _), (earlier, _) in zip(sorted(other)[:3], sorted(own)[:3], strict=True)
    }
    joined = pa.concat_tables([first, under("y", second)])
    result = scan_log(sell(joined, sold), tmp_path)
    found = sorted(extraction_campaigns(result), key=lambda members: not members >= own)
    assert len(found) == 2
    assert found[0] == own
    assert found[1] == {(sold.get(name, name), user) for name, user in other}


def sell(log: pa.Table, sold: dict[str, str]) -> pa.Table:
    """The log with the exchanges of some accounts by others, each of which keeps its own card."""
    cards = dict(zip(log["account_id"].to_pylist(), log["payment_fingerprint"].to_pylist(), strict=True))
    accounts = [sold.get(name, name) for name in log["account_id"].to_pylist()]
    columns = {"account_id": accounts, "payment_fingerprint": [cards[name] for name in accounts]}
    for name, values in columns.items():
        place = log.schema.get_field_index(name)
        log = log.set_column(place, log.schema.field(place), pa.array(values, pa.string()))
    return log


def test_camouflage_that_the_operator_deals_out_is_not_what_it_took(tmp_path: Path) -> None:
    operator = Operator(
        accounts=168, exchanges_per_account=21.1, objectives=("refusal_probing", "pairwise_preference"),
        camouflage=0.9, position="split", days=10.0, replacement="after_exchanges", mimic="companions",
    )  # fmt: skip
    log, truth = generate(
        Recipe(seed=10_000, text="b", innocents=800, exchanges=12_000, operators=(operator,))
    )
    result = scan_log(log, tmp_path)
    taken = truth.filter(truth["extraction"])["exchange_id"]
    right = pc.sum(pc.is_in(result.matches["exchange_id"], value_set=taken)).as_py()
    assert right >= 0.98 * result.matches.num_rows
    assert right >= 0.95 * len(taken)

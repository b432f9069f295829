"""What is said about the claims follows from the results, and the rule of a verdict is the one that is written."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from stillwatch.lab.claims import CLAIMS, Claim, Row, judge_all

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from experiment_pages import made  # noqa: E402


def test_the_summary_the_pages_and_the_curves_are_those_of_the_results():
    for path, text in made(ROOT).items():
        assert path.read_text("utf-8") == text, f"{path.name} is stale: run scripts/make_experiments"


def test_the_summary_speaks_of_every_claim_that_was_run_with_nine_seeds_or_more():
    records = json.loads((ROOT / "experiments" / "summary.json").read_text("utf-8"))
    run = judge_all(ROOT / "experiments" / "lab", CLAIMS)
    assert [record["claim"].split(". ")[0] for record in records] == [one.claim.number for one in run]
    for record in records:
        assert set(record) == {"claim", "seeds", "estimate", "low", "high", "verdict", "command"}
        assert record["seeds"] >= 9
        assert record["low"] <= record["estimate"] <= record["high"]
        assert record["verdict"] in {"holds", "holds only if", "does not hold"}
        assert ("(only if " in record["claim"]) == (record["verdict"] == "holds only if")


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        (("holds", "holds: they need each other"), "holds"),
        (("holds", "undecided"), "holds only if"),
        (("does not hold: the other loses more", "holds"), "holds only if"),
        (("does not hold", "undecided"), "does not hold"),
    ],
)
def test_a_claim_holds_where_all_rows_do_and_only_if_where_some_do(tmp_path, verdicts, said):
    records = [
        {
            "claim": f"one: row {place}", "verdict": verdict, "seeds": 9, "estimate": 0.1, "low": 0.0, "high": 0.2,
            "command": "run",
        }
        for place, verdict in enumerate(verdicts)
    ]  # fmt: skip
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "summary.json").write_text(json.dumps(records))
    rows = tuple(Row(f"case {place}", "one", f"row {place}") for place in range(len(verdicts)))
    found = judge_all(tmp_path, [Claim("1", "one", "It is so.", rows)])[0]
    assert found.verdict == said
    held = [f"case {place}" for place, verdict in enumerate(verdicts) if verdict.startswith("holds")]
    assert found.conditions == held
    ending = f" (only if {' or if '.join(held)})" if said == "holds only if" else ""
    assert found.record()["claim"] == f"1. It is so{ending}."


def test_a_contrary_row_turns_what_was_decided_and_leaves_what_was_not(tmp_path):
    (tmp_path / "one").mkdir()
    for verdict, holds in (("holds", False), ("does not hold", True), ("undecided", False)):
        (tmp_path / "one" / "summary.json").write_text(
            json.dumps([{"claim": "one: row", "verdict": verdict}])
        )
        row = Row("always", "one", "row", contrary=True)
        assert judge_all(tmp_path, [Claim("1", "one", "So.", (row,))])[0].findings[0].holds is holds


def test_what_was_not_run_is_named_and_has_no_say(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "summary.json").write_text(json.dumps([{"claim": "one: row", "verdict": "holds"}]))
    rows = (Row("here", "one", "row"), Row("there", "two", "row"))
    found = judge_all(tmp_path, [Claim("1", "one", "So.", rows), Claim("2", "two", "Not so.", rows[1:])])
    assert [(one.claim.number, one.verdict, one.not_run) for one in found] == [("1", "holds", rows[1:])]


def test_a_row_that_fits_no_conclusion_or_several_is_an_error(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "summary.json").write_text(
        json.dumps([{"claim": "one: row 1"}, {"claim": "one: row 2"}])
    )
    for begins in ("row", "nothing"):
        with pytest.raises(LookupError, match="one is needed"):
            judge_all(tmp_path, [Claim("1", "one", "So.", (Row("always", "one", begins),))])

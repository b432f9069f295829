"""Broken and odd logs: each error word for word, and each count, as the golden file and the documents have them."""

from __future__ import annotations

import json

import pytest

from tests.bad_logs import CASES, GOLDEN, Case, open_folder, outcome

EXPECTED = json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_log_is_an_error_with_a_remedy_or_is_counted(case: Case) -> None:
    (expected,) = [found for found in EXPECTED if found["case"] == case.name]
    with open_folder() as folder:
        assert outcome(case, folder) == expected


def test_every_case_of_the_golden_file_is_run() -> None:
    assert [found["case"] for found in EXPECTED] == [case.name for case in CASES]


@pytest.mark.parametrize("found", [found for found in EXPECTED if "says" in found], ids=lambda f: f["case"])
def test_an_error_says_what_was_given_and_what_to_do(found: dict[str, str]) -> None:
    assert "LOG" in found["says"]
    remedy = found["says"].rstrip(".").rsplit(". ", 1)[-1]
    assert remedy.split()[0] in {"Add", "Check", "Give", "Leave", "Move", "Name", "Repair", "Write"}, remedy

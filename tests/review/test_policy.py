"""policy.toml is read whole or refused with the key at fault; a snapshot of another version is refused."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from stillwatch.response import ResponseError
from stillwatch.response.actions import MEANINGS, Action
from stillwatch.response.policy import Policy, read_policy
from stillwatch.response.snapshot import Snapshot

WHOLE = """
version = 1
[approval]
principals = 3
innocent = 0
[enforcement]
lasts = "7d"
longest = "14d"
spread = "30m"
followed = 0
"""


def test_a_policy_is_read(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(WHOLE)
    policy = read_policy(path)
    assert (policy.principals, policy.innocent, policy.followed) == (3, 0.0, 0)
    assert (policy.lasts, policy.spread) == (dt.timedelta(days=7), dt.timedelta(minutes=30))
    assert len(policy.digest) == 64
    path.write_text("version = 1\n")
    assert (read_policy(path).principals, read_policy(path).longest) == (
        Policy().principals,
        Policy().longest,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected version = 1 at its top"),
        ("version = 2", "expected version = 1 at its top"),
        ("version = 1\nrules = 3", r"rules must be tables, each under \[\[rules\]\]"),
        (
            "version = 1\nrule = 3",
            "the file has no rule; allowed are appeals, approval, enforcement, retention, rules, version, webhooks",
        ),
        ("version = 1\napproval = 3", r"approval must be a table, \[approval\]"),
        (
            "version = 1\n[approval]\naccounts = 3",
            r"\[approval\] has no accounts; allowed are innocent, principals",
        ),
        ("version = 1\n[approval]\nprincipals = 2.5", "principals must be a whole number from 0 on"),
        ("version = 1\n[approval]\nprincipals = true", "principals must be a whole number from 0 on"),
        ("version = 1\n[approval]\ninnocent = nan", "innocent must be a number from 0 on"),
        ("version = 1\n[enforcement]\nspread = 6", 'spread must be a span such as "6h"'),
        ("version = 1\n[enforcement]\nspread = '6 hours'", "'6 hours' is no span of time"),
        ("version = 1\n[enforcement]\nlasts = '91d'", "lasts no longer than longest"),
        ("version = ", "cannot read the policy"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(ResponseError, match=message):
        read_policy(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "these are no actions"),
        ("{", "these are no actions"),
        ('{"version": 2}', "of version 2 and 1 is known"),
        (
            '{"version": 1, "made_at": "2026-03-10T12:00:00", "actions": []}',
            "lack a field or hold a wrong one",
        ),
        (
            '{"version": 1, "made_at": "2026-03-10T12:00:00Z", "actions": [{}]}',
            "lack a field or hold a wrong one",
        ),
    ],
)
def test_actions_that_cannot_be_read_are_refused(text: str, message: str) -> None:
    with pytest.raises(ResponseError, match=message):
        Snapshot.from_json(text)


def test_an_empty_snapshot_is_one() -> None:
    made = dt.datetime(2026, 3, 10, tzinfo=dt.UTC)
    text = json.dumps(Snapshot(made, ()).as_json())
    assert Snapshot.from_json(text) == Snapshot(made, ())
    assert set(MEANINGS) == set(Action)

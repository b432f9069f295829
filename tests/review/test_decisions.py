"""The decision loop: loaded, previewed, decided, approved, taken back; on every database."""

from __future__ import annotations

import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from stillwatch.calibration.labels import DECISIONS, Standing, read_labels, write_labels
from stillwatch.response import ResponseError
from stillwatch.response.actions import Action, Finding, Scope
from stillwatch.response.decision import Wanted
from stillwatch.response.policy import Policy
from stillwatch.response.snapshot import Snapshot
from stillwatch.store import ConflictError, StoreError, audit
from stillwatch.store.cases import account, case, members, queue, release, search, take
from stillwatch.store.database import Store
from stillwatch.store.decisions import approve, decide, preview, refuse, undo
from stillwatch.store.loading import load
from stillwatch.store.reading import label_rows, snapshot
from stillwatch.store.scans import differences
from tests.review.results import accounts, campaign, write_result

NOW = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
POLICY = Policy(principals=10, innocent=0.5)
CASE = "c-1"


def later(**span: float) -> dt.datetime:
    return NOW + dt.timedelta(**span)


def wanted(action: Action = Action.THROTTLE, **more: Any) -> Wanted:
    return Wanted(
        **{"case_id": CASE, "finding": Finding.EXTRACTION, "action": action, "reason": "one hand", **more}
    )


def person(name: str, **more: Any) -> Wanted:
    return wanted(Action.OBSERVE, finding=Finding.INNOCENT, scope=Scope.PRINCIPAL, account_id=name, **more)


@pytest.fixture
def loaded(store: Store, tmp_path: Path) -> Store:
    """A campaign of six accounts in two families, and one of twelve."""
    found = [
        campaign(CASE, ["f-a", "f-b"], accounts("small", 6)),
        campaign("c-2", ["f-c"], [*accounts("large", 11), ("gateway", "user-7")], probability=0.9),
    ]
    load(store, write_result(tmp_path / "first", found), "ann", POLICY, NOW)
    return store


def hit(store: Store, at: dt.datetime) -> set[str]:
    return {row.account_id for row in snapshot(store, at).actions}


def test_a_result_opens_cases_and_is_loaded_once(loaded: Store, tmp_path: Path) -> None:
    found = queue(loaded)
    assert [(row["id"], row["state"], row["principals"]) for row in found["rows"]] == [
        ("c-1", "new", 6),
        ("c-2", "new", 12),
    ]
    with pytest.raises(StoreError, match="was loaded before, as scan 1"):
        load(loaded, tmp_path / "first", "ann", POLICY, NOW)
    assert audit.verify(loaded).entries == 1
    (tmp_path / "first" / "overview.json").unlink()
    with pytest.raises(StoreError, match=r"is no whole result of a scan: overview\.json cannot be read"):
        load(loaded, tmp_path / "first", "ann", POLICY, NOW)


def test_a_preview_counts_whom_it_hits_and_changes_nothing(loaded: Store) -> None:
    shown = preview(loaded, wanted(case_id="c-2"), POLICY)
    assert {(one.account_id, one.end_user_id) for one in shown.hits} == {
        *accounts("large", 11), ("gateway", "user-7")
    }  # fmt: skip
    assert shown.expected_innocent == pytest.approx(12 * 0.1)
    assert shown.ordinary_exchanges == 12 * 15
    assert shown.approval == "it hits 12 principals, and from 10 on a second person approves"
    narrow = preview(loaded, wanted(scope=Scope.FAMILY, family_id="f-a"), POLICY)
    assert (narrow.principals, narrow.matched, narrow.as_json()["ordinary_exchanges"]) == (6, 4, 0)
    assert queue(loaded)["counts"]["new"] == 2
    assert audit.verify(loaded).entries == 1


def test_a_small_decision_stands_at_once_and_ends_by_itself(loaded: Store) -> None:
    number = decide(loaded, wanted(lasts=dt.timedelta(days=2)), "ann", POLICY, NOW)
    row = case(loaded, CASE)
    assert (row["state"], row["decisions"][0]["state"]) == ("decided", "standing")
    held = snapshot(loaded, NOW).actions
    assert len(held) == 6
    assert all(NOW <= one.starts < later(hours=6) and one.until == later(days=2) for one in held)
    assert len({one.starts for one in held}) > 1
    assert held[0].reason == f"case c-1, decision {number}"
    assert hit(loaded, later(days=2)) == set()


def test_the_snapshot_survives_its_json_and_answers_for_a_request(loaded: Store) -> None:
    decide(loaded, wanted(spread=dt.timedelta(0)), "ann", POLICY, NOW)
    number = decide(loaded, wanted(Action.SUSPEND, scope=Scope.FAMILY, family_id="f-a"), "ann", POLICY, NOW)
    held = snapshot(loaded, NOW)
    again = Snapshot.from_json(json.dumps(held.as_json()))
    assert again == held
    at = later(hours=7)
    assert [one.action for one in again.holding("small-001", "anybody", at)] == [Action.THROTTLE]
    assert [one.action for one in again.holding("small-001", None, at, ["f-a"])] == [
        Action.SUSPEND, Action.THROTTLE
    ]  # fmt: skip
    assert again.holding("innocent-1", None, at) == ()
    undo(loaded, number, "ann", "the family is another's", at)
    assert [one.action for one in snapshot(loaded, at).holding("small-001", None, at, ["f-a"])] == [
        Action.THROTTLE
    ]


def test_an_end_user_is_hit_and_the_account_it_belongs_to_is_not(loaded: Store) -> None:
    one = wanted(case_id="c-2", scope=Scope.PRINCIPAL, account_id="gateway", end_user_id="user-7")
    decide(loaded, one, "ann", POLICY, NOW)
    held = snapshot(loaded, NOW)
    assert len(held.holding("gateway", "user-7", later(hours=6))) == 1
    assert held.holding("gateway", "user-8", later(hours=6)) == ()
    assert held.holding("gateway", None, later(hours=6)) == ()


def test_a_large_decision_hits_nobody_before_another_person_approves(loaded: Store) -> None:
    number = decide(loaded, wanted(case_id="c-2"), "ann", POLICY, NOW)
    assert hit(loaded, NOW) == set()
    assert label_rows(loaded) == []
    with pytest.raises(ConflictError, match="ann proposed decision 1; another person must approve it"):
        approve(loaded, number, "ann", NOW)
    take(loaded, "c-2", "bob", NOW, over=True)
    approve(loaded, number, "bob", NOW)
    assert len(hit(loaded, NOW)) == 12
    with pytest.raises(ConflictError, match="decision 1 is standing and not proposed"):
        approve(loaded, number, "carol", NOW)


def test_a_proposal_can_be_turned_down(loaded: Store) -> None:
    number = decide(loaded, wanted(case_id="c-2"), "ann", POLICY, NOW)
    refuse(loaded, number, "bob", "too many innocents", NOW)
    assert hit(loaded, NOW) == set()
    assert case(loaded, "c-2")["state"] == "in_review"
    assert case(loaded, "c-2")["decisions"][0]["ended_because"] == "too many innocents"


def test_whoever_is_cleared_is_let_be_and_undoing_that_hits_them_again(loaded: Store) -> None:
    decide(loaded, wanted(), "ann", POLICY, NOW)
    cleared = decide(loaded, person("small-002"), "ann", POLICY, NOW)
    assert "small-002" not in hit(loaded, NOW)
    assert len(hit(loaded, NOW)) == 5
    shown = preview(loaded, wanted(Action.SUSPEND), POLICY)
    assert (shown.principals, shown.cleared) == (5, 1)
    undo(loaded, cleared, "ann", "it was the other one", NOW)
    assert len(hit(loaded, NOW)) == 6


def test_a_case_that_is_cleared_ends_every_action_and_undoing_that_restores_them(loaded: Store) -> None:
    decide(loaded, wanted(), "ann", POLICY, NOW)
    decide(loaded, wanted(Action.HIDE_REASONING), "ann", POLICY, NOW)
    before = snapshot(loaded, NOW)
    cleared = decide(loaded, wanted(Action.OBSERVE, finding=Finding.LICENSED), "ann", POLICY, NOW)
    assert hit(loaded, NOW) == set()
    undo(loaded, cleared, "bob", "the licence is another's", NOW)
    assert snapshot(loaded, NOW) == before


def test_the_same_decision_is_not_made_twice_and_a_stale_one_not_at_all(loaded: Store) -> None:
    seen = case(loaded, CASE)["version"]
    decide(loaded, wanted(), "ann", POLICY, NOW, seen)
    with pytest.raises(
        ConflictError,
        match="decision 1 of ann says the same and stands already; it holds for all of them from 20",
    ):
        decide(loaded, wanted(), "bob", POLICY, NOW)
    with pytest.raises(ConflictError, match="decision 1 of ann says the same and holds already"):
        decide(loaded, wanted(), "bob", POLICY, NOW + POLICY.spread)
    with pytest.raises(ConflictError, match="c-1 has changed since you saw it"):
        decide(loaded, wanted(Action.SUSPEND), "bob", POLICY, NOW, seen)


def test_nobody_decides_on_a_case_of_somebody_else(loaded: Store) -> None:
    take(loaded, CASE, "ann", NOW)
    with pytest.raises(ConflictError, match="ann is at work on c-1"):
        decide(loaded, wanted(), "bob", POLICY, NOW)
    with pytest.raises(ConflictError, match="ann is at work on c-1; ask them"):
        take(loaded, CASE, "bob", NOW)
    with pytest.raises(ConflictError, match="only they can give it back"):
        release(loaded, CASE, "bob", NOW)
    take(loaded, CASE, "bob", NOW, over=True)
    release(loaded, CASE, "bob", NOW)
    assert case(loaded, CASE)["state"] == "new"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"reason": "  "}, "a decision without a reason is none"),
        ({"finding": Finding.UNSURE}, "throttle takes the finding extraction, and this one is unsure"),
        ({"action": Action.STEP_UP, "finding": Finding.INNOCENT}, "who is found innocent is let be"),
        ({"lasts": dt.timedelta(days=91)}, "at most 90 days"),
        ({"lasts": dt.timedelta(hours=1)}, "does not fit into the 1:00:00"),
        ({"parameters": {"requests_per_minute": 0}}, "must be a whole number from 1 to 100000"),
        ({"parameters": {"speed": 1}}, "throttle has no parameter speed; it takes requests_per_minute"),
        ({"action": Action.RESTRICT_TIER}, "models must be a list of one or more names"),
        ({"scope": Scope.FAMILY}, "the scope family takes a family and no principal"),
        ({"account_id": "small-001"}, "the scope campaign takes neither a principal nor a family"),
        ({"scope": Scope.PRINCIPAL, "account_id": "x", "follows": True}, "follows nobody"),
    ],
)
def test_what_may_not_be_decided_is_refused_with_what_may(
    loaded: Store, asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(ResponseError, match=message):
        decide(loaded, wanted(**asked), "ann", POLICY, NOW)
    assert audit.verify(loaded).entries == 1


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"case_id": "c-9"}, "there is no case c-9"),
        ({"scope": Scope.FAMILY, "family_id": "f-z"}, "c-1 has no family f-z"),
        ({"scope": Scope.PRINCIPAL, "account_id": "innocent-1"}, "takes no part in c-1"),
    ],
)
def test_a_subject_that_is_not_there_is_named(loaded: Store, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(StoreError, match=message):
        decide(loaded, wanted(**asked), "ann", POLICY, NOW)


def test_accounts_that_replace_banned_ones_come_to_their_case(loaded: Store, tmp_path: Path) -> None:
    decide(loaded, wanted(Action.SUSPEND), "ann", POLICY, NOW)
    # Another first family gives the campaign another name; nobody of before is in it.
    fresh = [campaign("c-0", ["f-0", "f-b"], accounts("fresh", 4))]
    found = load(loaded, write_result(tmp_path / "second", fresh, days=9), "ann", POLICY, later(days=2))
    assert (found.opened, found.continued, found.joined, found.followed) == ((), (CASE,), {CASE: 4}, 0)
    row = case(loaded, "c-0")
    assert (row["id"], row["state"], row["principals"]) == (CASE, "new", 4)
    assert not any(name.startswith("fresh") for name in hit(loaded, later(days=3)))
    again = decide(loaded, wanted(Action.SUSPEND), "ann", POLICY, later(days=3))
    approve(loaded, again, "bob", later(days=3))  # ten in all
    assert hit(loaded, later(days=3)) == {name for name, _ in accounts("small", 6) + accounts("fresh", 4)}
    assert {row["campaign_id"] for row in label_rows(loaded)} == {"c-0", CASE}


def test_a_decision_that_follows_its_case_hits_newcomers_up_to_what_the_policy_allows(
    loaded: Store, tmp_path: Path
) -> None:
    policy = Policy(followed=3)
    decide(loaded, wanted(follows=True), "ann", policy, NOW)
    decide(loaded, person("small-005"), "ann", policy, NOW)
    again = [campaign(CASE, ["f-a"], accounts("small", 6) + accounts("fresh", 5))]
    found = load(loaded, write_result(tmp_path / "second", again, days=9), "ann", policy, later(days=2))
    assert (found.joined, found.followed) == ({CASE: 5}, 3)
    held = [one for one in snapshot(loaded, later(days=2)).actions if one.account_id.startswith("fresh")]
    assert {one.account_id for one in held} == {"fresh-000", "fresh-001", "fresh-002"}
    assert all(one.starts >= later(days=2) for one in held)
    assert case(loaded, CASE)["state"] == "new"  # two of them wait for a person
    entry = next(one for one in audit.entries(loaded) if one.kind == "decision.followed")
    assert '"beyond_the_policy": 2' in entry.details


def test_a_newcomer_near_the_end_is_hit_before_it(loaded: Store, tmp_path: Path) -> None:
    short = {"lasts": dt.timedelta(days=1), "spread": dt.timedelta(hours=20)}
    decide(loaded, wanted(follows=True, **short), "ann", POLICY, NOW)
    again = [campaign(CASE, ["f-a"], accounts("small", 6) + accounts("fresh", 3))]
    at = later(hours=23, minutes=50)
    load(loaded, write_result(tmp_path / "second", again, days=9), "ann", POLICY, at)
    fresh = [one for one in snapshot(loaded, at).actions if one.account_id.startswith("fresh")]
    assert len(fresh) == 3
    assert all(at <= one.starts < one.until for one in fresh)


def test_a_decision_is_renewed_before_its_end_and_not_made_twice(loaded: Store) -> None:
    month, week = dt.timedelta(days=30), dt.timedelta(days=7)
    decide(loaded, wanted(lasts=month), "ann", POLICY, NOW)
    for at, lasts in ((NOW, month), (later(hours=23), month), (later(days=20), week)):
        with pytest.raises(ConflictError, match=r"says the same and (holds|stands) already"):
            decide(loaded, wanted(lasts=lasts), "bob", POLICY, at)
    decide(loaded, wanted(lasts=dt.timedelta(days=60), spread=dt.timedelta(0)), "bob", POLICY, NOW)
    assert len(hit(loaded, later(days=59))) == 6
    with pytest.raises(ConflictError, match="decision 2 of bob says the same and holds already"):
        decide(loaded, wanted(lasts=month), "ann", POLICY, later(days=20))
    decide(loaded, wanted(lasts=month), "ann", POLICY, later(days=40))
    assert len(hit(loaded, later(days=69))) == 6


def test_one_person_does_not_come_to_hit_more_than_one_person_may(loaded: Store, tmp_path: Path) -> None:
    alone = decide(loaded, wanted(follows=True), "ann", POLICY, NOW)
    again = [campaign(CASE, ["f-a"], accounts("small", 6) + accounts("fresh", 9))]
    found = load(loaded, write_result(tmp_path / "second", again, days=9), "ann", POLICY, later(days=2))
    assert (found.joined, found.followed) == ({CASE: 9}, 3)  # from ten on it takes two
    assert case(loaded, CASE)["state"] == "new"
    # What two decided goes on to the number that the policy allows.
    undo(loaded, alone, "ann", "all of them", later(days=2))
    number = decide(loaded, wanted(follows=True), "ann", POLICY, later(days=2))
    approve(loaded, number, "bob", later(days=2))
    more = [campaign(CASE, ["f-a"], accounts("fresh", 9) + accounts("third", 60))]
    found = load(loaded, write_result(tmp_path / "third", more, days=10), "ann", POLICY, later(days=3))
    assert found.followed == POLICY.followed


def test_a_decision_on_a_family_follows_those_who_send_it(loaded: Store, tmp_path: Path) -> None:
    decide(loaded, wanted(scope=Scope.FAMILY, family_id="f-a", follows=True), "ann", POLICY, NOW)
    again = [
        campaign(CASE, ["f-a"], accounts("small", 4) + accounts("fresh", 1)),
        campaign("c-9", ["f-b"], accounts("other", 2)),
    ]
    found = load(loaded, write_result(tmp_path / "second", again, days=9), "ann", POLICY, later(days=2))
    assert (found.joined, found.followed) == ({CASE: 3}, 1)
    assert "fresh-000" in hit(loaded, later(days=3))
    assert case(loaded, CASE)["state"] == "new"


def test_a_campaign_that_goes_on_when_its_action_has_run_out_comes_back(
    loaded: Store, tmp_path: Path
) -> None:
    decide(loaded, wanted(lasts=dt.timedelta(days=1)), "ann", POLICY, later(days=-4))
    decide(loaded, wanted(case_id="c-2", finding=Finding.INNOCENT, action=Action.OBSERVE), "ann", POLICY, NOW)
    both = [campaign(CASE, ["f-a"], accounts("small", 5)), campaign("c-2", ["f-c"], accounts("large", 5))]
    # Nothing was sent after the action's end.
    stopped = {"last_seen": later(days=-4).isoformat()}
    early = load(
        loaded,
        write_result(tmp_path / "early", [one | stopped for one in both]),
        "ann",
        POLICY,
        later(days=-2),
    )
    assert (early.reopened, case(loaded, CASE)["state"]) == (0, "decided")
    found = load(loaded, write_result(tmp_path / "second", both, days=9), "ann", POLICY, later(days=2))
    assert (found.joined, found.reopened) == ({}, 1)
    assert (case(loaded, CASE)["state"], case(loaded, "c-2")["state"]) == ("new", "decided")


def test_a_campaign_without_a_shared_family_goes_on_with_most_of_its_principals(
    loaded: Store, tmp_path: Path
) -> None:
    again = [
        campaign("c-7", ["f-new"], accounts("small", 4)),
        campaign("c-8", ["f-other"], [("small-005", None), *accounts("stranger", 9)]),
    ]
    found = load(loaded, write_result(tmp_path / "second", again), "ann", POLICY, NOW)
    assert (found.continued, found.opened) == ((CASE,), ("c-8",))


def test_a_result_that_ends_earlier_does_not_turn_a_case_back(loaded: Store, tmp_path: Path) -> None:
    old = [campaign(CASE, ["f-a"], accounts("small", 2))]
    load(loaded, write_result(tmp_path / "old", old, days=3), "ann", POLICY, NOW)
    assert case(loaded, CASE)["principals"] == 6
    gone = differences(loaded, 1, 2, "gone")
    assert [row["case_id"] for row in gone["rows"]] == ["c-2"]
    assert gone["counts"] == {"new": 0, "gone": 1, "kept": 1}
    kept, back = (differences(loaded, *pair, "kept")["rows"][0] for pair in ((1, 2), (2, 1)))
    assert (kept["joined"], kept["left"], back["joined"], back["left"]) == (0, 4, 4, 0)
    assert (kept["before"]["principals"], kept["after"]["principals"]) == (6, 2)
    assert differences(loaded, 1, 2)["rows"] == []


def test_labels_hold_what_stands_and_a_scan_reads_them(loaded: Store, tmp_path: Path) -> None:
    assert tuple(Finding) == DECISIONS
    decide(loaded, wanted(), "ann", POLICY, NOW)
    decide(loaded, person("small-002"), "ann", POLICY, later(minutes=1))
    wrong = decide(loaded, wanted(Action.SUSPEND, scope=Scope.FAMILY, family_id="f-b"), "ann", POLICY, NOW)
    undo(loaded, wrong, "ann", "not theirs", NOW)
    write_labels([*label_rows(loaded)], tmp_path / "labels.parquet")
    labels = read_labels(tmp_path / "labels.parquet").labels
    assert {(label.subject, label.standing) for label in labels} == {
        ((CASE, None, None, None), Standing.EXTRACTION),
        ((CASE, None, "small-002", None), Standing.INNOCENT),
    }


def test_search_account_and_members(loaded: Store) -> None:
    found = search(loaded, "small-00")
    assert len(found["accounts"]) == 6
    assert [row["case_id"] for row in search(loaded, "f-c")["families"]] == ["c-2"]
    assert search(loaded, "100%_")["accounts"] == []
    decide(loaded, wanted(), "ann", POLICY, NOW)
    one = account(loaded, "small-001")
    assert (one["cases"][0]["case_id"], one["decisions"][0]["action"]) == (CASE, "throttle")
    with pytest.raises(StoreError, match="no scan that was loaded has the account nobody"):
        account(loaded, "nobody")
    assert len(members(loaded, CASE, 1, start=4)) == 2


def test_of_many_who_decide_at_once_on_one_case_one_does(loaded: Store) -> None:
    seen = case(loaded, CASE)["version"]

    def attempt(number: int) -> bool:
        try:
            decide(loaded, wanted(), f"analyst-{number}", POLICY, NOW, seen)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(50) as pool:
        assert sum(pool.map(attempt, range(50))) == 1
    assert len(case(loaded, CASE)["decisions"]) == 1
    assert audit.verify(loaded) == audit.Verification(2, audit.verify(loaded).last, "")


def test_fifty_decisions_at_once_are_all_kept(store: Store, tmp_path: Path) -> None:
    found = [campaign(f"c-{number}", [f"f-{number}"], accounts(f"a{number}", 3)) for number in range(50)]
    load(store, write_result(tmp_path / "many", found), "ann", POLICY, NOW)

    def attempt(number: int) -> int:
        return decide(store, wanted(case_id=f"c-{number}"), f"analyst-{number}", POLICY, NOW)

    with ThreadPoolExecutor(50) as pool:
        numbers = list(pool.map(attempt, range(50)))
    assert sorted(numbers) == list(range(1, 51))
    assert len(snapshot(store, NOW).actions) == 150
    checked = audit.verify(store)
    assert (checked.entries, checked.broken) == (51, "")

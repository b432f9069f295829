"""Whoever was cleared or won an appeal is let be: whatever is taken back, found again, joined or approved."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from stillwatch.response.actions import Action, Finding, Scope
from stillwatch.response.policy import Policy
from stillwatch.response.rules import Mode, Rule
from stillwatch.store import ConflictError, StoreError
from stillwatch.store.appeals import all_appeals, answer_appeal, invite, look, object_to, reopen
from stillwatch.store.cases import case, take
from stillwatch.store.database import Store
from stillwatch.store.decisions import approve, decide, preview, refuse, undo
from stillwatch.store.loading import load
from stillwatch.store.reading import label_rows, snapshot
from stillwatch.store.retention import expire
from tests.review.results import accounts, campaign, write_result
from tests.review.test_decisions import CASE, NOW, POLICY, later, person, wanted

AT_ONCE = dt.timedelta(0)
SIX = {name for name, _ in accounts("small", 6)}
ONE = "small-002"


def hit(store: Store, at: dt.datetime = NOW) -> set[str]:
    return {one.account_id for one in snapshot(store, at).actions}


def found(store: Store, folder: Path, days: int, *campaigns: dict[str, Any], policy: Policy = POLICY) -> Any:
    """Load one more scan, of a log of so many days."""
    return load(
        store, write_result(folder / f"of-{days}", campaigns, days=days), "ann", policy, later(days=days)
    )


@pytest.fixture
def loaded(store: Store, tmp_path: Path) -> Store:
    """A case of six in two families."""
    found(store, tmp_path, 0, campaign(CASE, ["f-a", "f-b"], accounts("small", 6)))
    return store


def throttled(store: Store, **more: Any) -> int:
    return decide(store, wanted(spread=AT_ONCE, **more), "ann", POLICY, NOW)


def cleared_whole(store: Store, finding: Finding = Finding.INNOCENT, case_id: str = CASE) -> int:
    return decide(store, wanted(Action.OBSERVE, finding=finding, case_id=case_id), "dan", POLICY, NOW)


def objected(store: Store, decision: int, name: str = ONE) -> tuple[int, str]:
    """The number and the link of an appeal that waits."""
    (made,), _ = invite(store, decision, "ann", POLICY, NOW, name)
    object_to(store, made.token, "I teach a class", NOW)
    return made.number, made.token


def won(store: Store, number: int) -> None:
    answer_appeal(store, number, "carol", "reversed", "it was a class", NOW)


def test_undoing_one_of_two_clearings_hits_nobody(loaded: Store) -> None:
    throttled(loaded)
    whole, alone = cleared_whole(loaded), decide(loaded, person(ONE), "ann", POLICY, NOW)
    undo(loaded, whole, "dan", "not all of them", NOW)
    assert hit(loaded) == SIX - {ONE}
    one = {"scope": Scope.PRINCIPAL, "account_id": "small-001"}
    innocent = decide(loaded, person("small-001"), "ann", POLICY, NOW)
    again = decide(loaded, wanted(Action.OBSERVE, finding=Finding.LICENSED, **one), "ann", POLICY, NOW)
    undo(loaded, innocent, "ann", "they have a licence", NOW)
    assert hit(loaded) == SIX - {ONE, "small-001"}
    undo(loaded, again, "ann", "it has run out", NOW)
    undo(loaded, alone, "ann", "the other one", NOW)
    assert hit(loaded) == SIX


def test_what_another_decision_would_have_ended_does_not_stand_again(loaded: Store) -> None:
    throttled(loaded)
    first = cleared_whole(loaded)
    second = cleared_whole(loaded, Finding.LICENSED)
    undo(loaded, first, "dan", "they have a licence", NOW)
    assert hit(loaded) == set()
    undo(loaded, second, "dan", "it has run out", NOW)
    assert hit(loaded) == SIX


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("first", ["appeal", "clearing"])
def test_whoever_won_stays_let_be_when_a_clearing_is_undone(loaded: Store, first: str, whole: bool) -> None:
    number, token = objected(loaded, throttled(loaded))
    if first == "appeal":
        won(loaded, number)
    clearing = cleared_whole(loaded) if whole else decide(loaded, person(ONE), "dan", POLICY, NOW)
    if first == "clearing":
        won(loaded, number)
    undo(loaded, clearing, "dan", "answered by the appeal", NOW)
    assert hit(loaded) == SIX - {ONE}
    assert (look(loaded, token, NOW).state, look(loaded, token, NOW).over) == ("reversed", True)
    reopen(loaded, number, "carol", "there is no class", NOW)
    assert hit(loaded) == SIX


def test_reopening_an_appeal_does_not_hit_whom_a_decision_clears(loaded: Store) -> None:
    number, _ = objected(loaded, throttled(loaded))
    won(loaded, number)
    clearing = decide(loaded, person(ONE), "dan", POLICY, NOW)
    reopen(loaded, number, "carol", "there is no class", NOW)
    assert hit(loaded) == SIX - {ONE}
    undo(loaded, clearing, "dan", "there is none", NOW)
    assert hit(loaded) == SIX
    assert all_appeals(loaded)["counts"]["received"] == 1


def two_cases(store: Store, folder: Path) -> Store:
    """Two cases; all of the second were cleared, and one of them won an appeal before."""
    found(
        store, folder, 0,
        campaign("c-x", ["f-a", "f-b"], accounts("left", 3)), campaign("c-y", ["f-c"], accounts("right", 4)),
    )  # fmt: skip
    number, _ = objected(store, throttled(store, case_id="c-y"), "right-001")
    won(store, number)
    return store


JOINED = campaign("c-z", ["f-a", "f-b", "f-c"], accounts("left", 3) + accounts("right", 4))


def test_cases_that_join_hit_nobody_whom_either_let_be(store: Store, tmp_path: Path) -> None:
    two_cases(store, tmp_path)
    throttled(store, case_id="c-x", follows=True)
    clearing = cleared_whole(store, case_id="c-y")
    loaded = found(store, tmp_path, 2, JOINED)
    assert (loaded.joined, loaded.followed) == ({"c-x": 4}, 0)
    assert hit(store, later(days=2)) == {"left-000", "left-001", "left-002"}
    shown = preview(store, wanted(Action.SUSPEND, case_id="c-x"), POLICY)
    assert (shown.principals, shown.cleared) == (3, 4)
    rows = {(row["account_id"], row["decision"], row["source"]) for row in label_rows(store)
            if row["campaign_id"] == "c-z" and row.get("account_id")}  # fmt: skip
    assert {(name, "innocent") for name, _, _ in rows} == {
        (name, "innocent") for name, _ in accounts("right", 4)
    }
    undo(store, clearing, "dan", "they are the same", later(days=2))
    suspended = decide(store, wanted(Action.SUSPEND, case_id="c-x"), "ann", POLICY, later(days=3))
    assert case(store, "c-x")["decisions"][0]["id"] == suspended
    assert hit(store, later(days=3)) == {
        "left-000",
        "left-001",
        "left-002",
        "right-000",
        "right-002",
        "right-003",
    }


def test_a_clearing_counts_for_the_actions_of_a_joined_case(store: Store, tmp_path: Path) -> None:
    two_cases(store, tmp_path)
    found(store, tmp_path, 2, JOINED)
    throttled(store, case_id="c-x")
    assert {"right-000", "right-002"} < hit(store, later(days=2))
    clearing = decide(store, person("right-002", case_id="c-y"), "dan", POLICY, later(days=2))
    assert "right-002" not in hit(store, later(days=2))
    undo(store, clearing, "dan", "another", later(days=2))
    assert "right-002" in hit(store, later(days=2))


def test_who_was_cleared_elsewhere_waits_for_a_person(loaded: Store, tmp_path: Path) -> None:
    throttled(loaded, follows=True)
    other = campaign("c-9", ["f-z"], [("stranger", None), ("another", None)])
    found(loaded, tmp_path, 1, campaign(CASE, ["f-a"], accounts("small", 6)), other)
    decide(loaded, person("stranger", case_id="c-9"), "dan", POLICY, NOW)
    joined = campaign(CASE, ["f-a"], [*accounts("small", 6), ("stranger", None), ("new", None)])
    assert found(loaded, tmp_path, 2, joined).followed == 1
    assert hit(loaded, later(days=2)) == SIX | {"new"}
    assert case(loaded, CASE)["state"] == "new"


@pytest.mark.parametrize("first", ["clearing", "action"])
def test_what_has_expired_makes_nobody_a_newcomer(loaded: Store, tmp_path: Path, first: str) -> None:
    if first == "clearing":
        decide(loaded, person(ONE), "dan", POLICY, NOW)
    throttled(loaded, follows=True)
    if first == "action":
        decide(loaded, person(ONE), "dan", POLICY, NOW)
    assert expire(loaded, Policy(keep_accounts=dt.timedelta(days=1)), "ann", later(days=2))["accounts"]
    assert cleared_whole_and_back(loaded) == SIX - {ONE}
    again = campaign(CASE, ["f-a"], [*accounts("small", 6), ("new", None)])
    assert found(loaded, tmp_path, 3, again).joined == {CASE: 1}
    assert hit(loaded, later(days=3)) == SIX - {ONE} | {"new"}


def cleared_whole_and_back(store: Store) -> set[str]:
    """Whom clearing the case as a whole let be, and undoing it hits again."""
    before = hit(store)
    number = cleared_whole(store)
    assert hit(store) == set()
    undo(store, number, "dan", "no", NOW)
    assert hit(store) == before
    return before


def test_unsure_says_nothing_against_a_clearing(loaded: Store) -> None:
    throttled(loaded)
    clearing = cleared_whole(loaded)
    for action in (Action.OBSERVE, Action.STEP_UP):
        with pytest.raises(StoreError, match="it would hit nobody: all were cleared; take that back first"):
            decide(loaded, wanted(action, finding=Finding.UNSURE), "ann", POLICY, NOW)
    undo(loaded, clearing, "dan", "not sure any more", NOW)
    decide(loaded, wanted(Action.STEP_UP, finding=Finding.UNSURE), "ann", POLICY, NOW)
    cleared_whole(loaded)
    family = {"scope": Scope.FAMILY, "family_id": "f-a", "finding": Finding.UNSURE}
    with pytest.raises(StoreError, match="all were cleared"):
        decide(loaded, wanted(Action.STEP_UP, **family), "ann", POLICY, NOW)
    assert {row["decision"] for row in label_rows(loaded)} == {"innocent"}


def test_a_rule_that_is_unsure_lets_a_cleared_case_be(loaded: Store, tmp_path: Path) -> None:
    number, _ = objected(loaded, throttled(loaded))
    cleared_whole(loaded)
    won(loaded, number)
    assert case(loaded, CASE)["state"] == "new"
    rules = (Rule(name="look", mode=Mode.ACT, action=Action.OBSERVE, finding=Finding.UNSURE),)
    again = campaign(CASE, ["f-a"], accounts("small", 6))
    assert found(loaded, tmp_path, 2, again, policy=Policy(rules=rules)).proposed == 0


def test_whoever_left_the_campaign_can_be_cleared(loaded: Store, tmp_path: Path) -> None:
    throttled(loaded)
    decide(loaded, wanted(Action.SUSPEND, scope=Scope.FAMILY, family_id="f-b"), "ann", POLICY, NOW)
    found(loaded, tmp_path, 2, campaign(CASE, ["f-a"], accounts("small", 2)))
    with pytest.raises(StoreError, match="takes no part in c-1 by its latest scan"):
        decide(loaded, wanted(scope=Scope.PRINCIPAL, account_id=ONE), "ann", POLICY, NOW)
    shown = preview(loaded, person(ONE), POLICY)
    assert (shown.principals, shown.exchanges) == (1, 0)
    decide(loaded, person(ONE), "ann", POLICY, NOW)
    assert hit(loaded) == SIX - {ONE}
    gone = wanted(Action.OBSERVE, finding=Finding.INNOCENT, scope=Scope.FAMILY, family_id="f-b")
    decide(loaded, gone, "ann", POLICY, NOW)
    assert {one.action for one in snapshot(loaded, NOW).actions} == {Action.THROTTLE}
    cleared_whole(loaded)
    assert hit(loaded) == set()


def test_a_campaign_of_which_every_family_is_cleared_hits_nobody(loaded: Store) -> None:
    throttled(loaded)
    families = [
        wanted(Action.OBSERVE, finding=Finding.INNOCENT, scope=Scope.FAMILY, family_id=name)
        for name in ("f-a", "f-b")
    ]
    first = decide(loaded, families[0], "dan", POLICY, NOW)
    assert hit(loaded) == SIX
    assert preview(loaded, wanted(Action.SUSPEND), POLICY).cleared_families == 1
    decide(loaded, families[1], "dan", POLICY, NOW)
    assert hit(loaded) == set()
    with pytest.raises(StoreError, match="all were cleared; take that back first"):
        decide(loaded, wanted(Action.SUSPEND), "ann", POLICY, NOW)
    undo(loaded, first, "dan", "it is one hand", NOW)
    assert hit(loaded) == SIX


def large(store: Store, folder: Path) -> int:
    """A proposal to suspend twelve."""
    found(store, folder, 1, campaign("c-2", ["f-c"], accounts("large", 12)))
    return decide(store, wanted(Action.SUSPEND, case_id="c-2"), "ann", POLICY, later(days=1))


def test_what_a_scan_has_changed_is_not_approved(store: Store, tmp_path: Path) -> None:
    waits = large(store, tmp_path)
    found(store, tmp_path, 2, campaign("c-2", ["f-c"], accounts("large", 11)))
    message = (
        "by scan 2, which was loaded since, 1 of those whom it would hit take no part.* refuse this one first"
    )
    with pytest.raises(ConflictError, match=message):
        approve(store, waits, "bob", later(days=2))
    refuse(store, waits, "ann", "there is a new scan", later(days=2))
    approve(
        store,
        decide(store, wanted(Action.SUSPEND, case_id="c-2"), "ann", POLICY, later(days=2)),
        "bob",
        later(days=2),
    )
    assert len(hit(store, later(days=2))) == 11


def test_a_scan_that_finds_the_same_people_does_not_hold_up_an_approval(store: Store, tmp_path: Path) -> None:
    waits = large(store, tmp_path)
    found(store, tmp_path, 2, campaign("c-2", ["f-c"], accounts("large", 14)))
    approve(store, waits, "bob", later(days=2))
    assert len(hit(store, later(days=2))) == 12


def test_what_was_found_otherwise_or_taken_over_is_not_approved(store: Store, tmp_path: Path) -> None:
    waits = large(store, tmp_path)
    at = later(days=1, hours=1)
    take(store, "c-2", "dan", at, over=True)
    with pytest.raises(ConflictError, match="dan is at work on c-2"):
        approve(store, waits, "bob", at)
    clearing = decide(
        store, wanted(Action.OBSERVE, finding=Finding.INNOCENT, case_id="c-2"), "dan", POLICY, at
    )
    with pytest.raises(ConflictError, match="decision 2 found the case innocent"):
        approve(store, waits, "bob", at)
    assert hit(store, at) == set()
    undo(store, clearing, "dan", "no", at)
    decide(store, person("large-003", case_id="c-2"), "dan", POLICY, at)
    with pytest.raises(ConflictError, match="1 of those whom it would hit were cleared"):
        approve(store, waits, "bob", at)


def test_a_proposal_does_not_outlive_what_it_proposes(store: Store, tmp_path: Path) -> None:
    waits = large(store, tmp_path)
    with pytest.raises(ConflictError, match="it waits since 2026-03-11, which is longer than it would hold"):
        approve(store, waits, "bob", later(days=200))


def test_many_small_decisions_are_bounded_like_a_large_one(store: Store, tmp_path: Path) -> None:
    found(store, tmp_path, 0, campaign("c-2", ["f-c"], accounts("large", 12)))
    for name, _ in accounts("large", 12):
        one = wanted(Action.SUSPEND, scope=Scope.PRINCIPAL, account_id=name, case_id="c-2")
        decide(store, one, "ann", POLICY, NOW)
    assert len(hit(store)) == 9
    last = case(store, "c-2")["decisions"][0]
    assert last["approval"].startswith("with the 9 whom ann hits alone on this case, it hits 10 principals")
    ten = wanted(scope=Scope.PRINCIPAL, account_id="large-010", case_id="c-2")
    assert preview(store, ten, POLICY, by=("ann", NOW)).approval
    assert not preview(store, ten, POLICY, by=("bob", NOW)).approval


def test_nobody_takes_back_a_decision_on_a_case_of_somebody_else(loaded: Store) -> None:
    throttled(loaded)
    clearing = cleared_whole(loaded)
    take(loaded, CASE, "bob", NOW)
    with pytest.raises(ConflictError, match="bob is at work on c-1; take it over first"):
        undo(loaded, clearing, "ann", "no", NOW)
    assert hit(loaded) == set()

"""A person's data goes when they ask or when it is old; what is left says as much as before, and the log is whole."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from stillwatch.response.actions import Action, Finding, Scope
from stillwatch.response.decision import Wanted
from stillwatch.response.policy import Policy, read_policy
from stillwatch.store import ConflictError, StoreError, audit
from stillwatch.store.appeals import answer_appeal, appeal, invite, object_to
from stillwatch.store.cases import account, case, search
from stillwatch.store.database import Store
from stillwatch.store.decisions import decide, undo
from stillwatch.store.loading import load
from stillwatch.store.proposals import dismiss, waiting
from stillwatch.store.reading import label_rows
from stillwatch.store.retention import REMOVED, expire, forget
from stillwatch.store.tables import METADATA, accounts, exemplars, outbox, participants, proposals
from tests.review.results import accounts as people
from tests.review.results import campaign, write_result

NOW = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
POLICY = Policy(principals=10)
NAME = "person-7f3a"


def later(**span: float) -> dt.datetime:
    return NOW + dt.timedelta(**span)


def wanted(action: Action = Action.THROTTLE, **more: Any) -> Wanted:
    told = {"finding": Finding.EXTRACTION, "reason": "one hand", "spread": dt.timedelta(0), **more}
    return Wanted(case_id="c-1", action=action, **told)


@pytest.fixture
def loaded(store: Store, tmp_path: Path) -> Store:
    found = [campaign("c-1", ["f-a"], [*people("small", 3), (NAME, None), (NAME, "user-7")])]
    load(store, write_result(tmp_path / "first", found), "ann", POLICY, NOW)
    return store


def everywhere(store: Store, name: str) -> list[str]:
    """Every column of every table that holds a name: the plain search."""
    found = []
    with store.reading() as connection:
        for table in METADATA.sorted_tables:
            for row in connection.execute(sa.select(table)).mappings():
                found += [f"{table.name}.{key}" for key, value in row.items() if name in str(value)]
    return found


def test_nothing_of_a_forgotten_account_is_left_and_the_log_is_whole(loaded: Store) -> None:
    number = decide(loaded, wanted(reason=f"as {NAME} does"), "ann", POLICY, NOW)
    one = decide(loaded, wanted(Action.SUSPEND, scope=Scope.PRINCIPAL, account_id=NAME), "ann", POLICY, NOW)
    (link,), _ = invite(loaded, number, "ann", POLICY, NOW, NAME)
    appealed = object_to(loaded, link.token, f"I am {NAME}", NOW)
    head = audit.verify(loaded)
    with pytest.raises(ConflictError, match=r"decision \d holds on them"):
        forget(loaded, NAME, None, "ann", NOW)
    undo(loaded, number, "ann", "a class", NOW)
    undo(loaded, one, "ann", "a class", NOW)
    with pytest.raises(ConflictError, match="appeal 1 of theirs waits for an answer"):
        forget(loaded, NAME, None, "ann", NOW)
    answer_appeal(loaded, appealed, "bob", "reversed", "a class", NOW)
    assert len(set(everywhere(loaded, NAME))) >= 6

    done = forget(loaded, NAME, None, "bob", NOW)
    assert (done.rows > 0, done.typed) == (True, 1)
    # The one entry in which somebody typed the name is what is left of it.
    assert everywhere(loaded, NAME) == ["audit.details"]
    assert search(loaded, NAME)["accounts"] == []
    with pytest.raises(StoreError, match="no scan that was loaded has the account"):
        account(loaded, NAME)
    # What was decided is still told, with as many as before.
    rows = {row["id"]: row for row in case(loaded, "c-1")["decisions"]}
    assert (rows[number]["hit"], rows[number]["reason"], rows[one]["hit"]) == (5, f"as {REMOVED} does", 1)
    assert rows[one]["account_id"].startswith("forgotten-")
    assert appeal(loaded, appealed)["objection"] == REMOVED
    assert label_rows(loaded) == []
    found = audit.verify(loaded, (head.entries, head.last))
    assert (found.broken, found.entries) == ("", head.entries + 4)
    with pytest.raises(StoreError, match="there is nothing of that name"):
        forget(loaded, NAME, None, "bob", NOW)


def test_names_are_taken_out_of_all_that_people_typed_and_stand_for_nobody_else(
    store: Store, tmp_path: Path
) -> None:
    """Of end users too, in every script; a longer name that begins with one stays."""
    named = [("acct-8", "jane@x.org"), ("acct-80", None), ("Müller GmbH", None), ("张三", None)]
    result = write_result(tmp_path / "named", [campaign("c-1", ["f-a"], [*named, *people("small", 2)])])
    rules = tmp_path / "policy.toml"
    rules.write_text('version = 1\n[[rules]]\nname = "r"\nmode = "propose"\naction = "throttle"\n')
    load(store, result, "ann", read_policy(rules), NOW)
    said = "acct-8/jane@x.org, like acct-80 and x-acct-8; Müller GmbH, 是张三的"
    dismiss(store, waiting(store)[0]["id"], "ann", said, NOW)
    number = decide(
        store, wanted(reason=said, scope=Scope.PRINCIPAL, account_id="small-000"), "ann", POLICY, NOW
    )
    (link,), _ = invite(store, number, "ann", POLICY, NOW)
    answer_appeal(store, object_to(store, link.token, said, NOW), "bob", "upheld", said, NOW)
    undo(store, number, "ann", said, NOW)
    # The log cannot be changed: what was typed is counted, whatever its script.
    typed = {name: forget(store, name, None, "ann", NOW).typed for name in ("acct-8", "Müller GmbH", "张三")}
    assert typed == {"acct-8": 4, "Müller GmbH": 4, "张三": 4}
    for name in ("jane@x.org", "Müller", "张三"):
        assert set(everywhere(store, name)) <= {"audit.details"}, name
    left = f"{REMOVED}/{REMOVED}, like acct-80 and x-{REMOVED}; {REMOVED}, 是{REMOVED}的"
    row = case(store, "c-1")["decisions"][0]
    appealed = appeal(store, 1)
    with store.reading() as connection:
        closed = connection.execute(sa.select(proposals.c.closed_because)).scalar_one()
    typed_of_them = (row["reason"], row["ended_because"], closed, appealed["objection"], appealed["answer"])
    assert set(typed_of_them) == {left}


def test_an_account_whose_name_is_a_number_is_forgotten_and_a_decision_of_that_number_is_not(
    store: Store, tmp_path: Path
) -> None:
    found = [campaign("c-1", ["f-a"], [*people("small", 3), ("2", None)])]
    load(store, write_result(tmp_path / "first", found), "ann", POLICY, NOW)
    first = decide(store, wanted(reason="as 2 does"), "ann", POLICY, NOW)
    second = decide(store, wanted(Action.OBSERVE, finding=Finding.INNOCENT), "ann", POLICY, NOW)
    assert second == 2
    forget(store, "2", None, "bob", NOW)
    rows = {row["id"]: row for row in case(store, "c-1")["decisions"]}
    assert rows[first]["reason"] == f"as {REMOVED} does"
    undo(store, second, "ann", "no class after all", NOW)
    assert {row["id"]: row["state"] for row in case(store, "c-1")["decisions"]}[first] == "standing"


def test_one_end_user_goes_and_the_account_stays(loaded: Store) -> None:
    decide(loaded, wanted(lasts=dt.timedelta(days=1)), "ann", POLICY, NOW)
    with pytest.raises(ConflictError, match="until it is taken back or runs out"):
        forget(loaded, NAME, "user-7", "ann", later(hours=23))
    forget(loaded, NAME, "user-7", "ann", later(days=2))
    assert set(everywhere(loaded, "user-7")) == set()
    assert {row["end_user_id"] for row in account(loaded, NAME)["rows"]} == {None}
    assert case(loaded, "c-1")["decisions"][0]["hit"] == 5
    with loaded.reading() as connection:
        left = connection.execute(sa.select(sa.func.count()).where(outbox.c.account_id == NAME)).scalar_one()
    assert left == 2


def test_what_is_old_goes_as_the_policy_says(loaded: Store, tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(
        "version = 1\n[retention]\nkeep_text = '30d'\nkeep_accounts = '60d'\nkeep_objections = '90d'\n"
        "keep_messages = '7d'\n"
    )
    policy = read_policy(path)
    with loaded.writing() as connection:
        connection.execute(exemplars.insert(), {"scan_id": 1, "campaign_id": "c-1", "turns": [{"text": "x"}]})
    number = decide(loaded, wanted(lasts=dt.timedelta(days=1)), "ann", POLICY, NOW)
    (link,), _ = invite(loaded, number, "ann", POLICY, NOW, NAME)
    appealed = object_to(loaded, link.token, "a class", NOW)
    answer_appeal(loaded, appealed, "bob", "upheld", "it stands", NOW)
    assert expire(loaded, Policy(), "night", later(days=999)) == {}
    assert not any(expire(loaded, policy, "night", later(days=2)).values())

    def rows(table: sa.Table) -> int:
        with loaded.reading() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())

    assert expire(loaded, policy, "night", later(days=20)) == {
        "text": 0, "accounts": 0, "objections": 0, "messages": 12
    }  # fmt: skip
    expire(loaded, policy, "night", later(days=40))
    assert (rows(exemplars), rows(outbox), rows(accounts) > 0) == (0, 0, True)
    expire(loaded, policy, "night", later(days=70))
    assert (rows(accounts), rows(participants)) == (0, 0)
    expire(loaded, policy, "night", later(days=100))
    assert appeal(loaded, appealed)["objection"] == REMOVED
    kinds = [one.kind for one in audit.entries(loaded) if one.actor == "night"]
    assert kinds == ["store.expired"] * 4
    assert audit.verify(loaded).broken == ""


def test_an_open_case_keeps_the_people_by_whom_it_is_known(loaded: Store) -> None:
    assert expire(loaded, Policy(keep_accounts=dt.timedelta(days=1)), "night", later(days=99)) == {
        "accounts": 0
    }

"""Whoever is hit can object by a link, another person answers, and who wins is let be and counted."""

from __future__ import annotations

import csv
import datetime as dt
import json
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from stillwatch.arena import PRESETS, simulate
from stillwatch.calibration.labels import Standing, read_labels, write_labels
from stillwatch.cli import app
from stillwatch.keys import Keys
from stillwatch.response.actions import MEANINGS, Action, Finding, Scope, parameters_of
from stillwatch.response.appeal import Link, new_serial, notice, read_token, token_of
from stillwatch.response.decision import Wanted
from stillwatch.response.policy import Policy
from stillwatch.scan import Options, scan
from stillwatch.sketching import Source
from stillwatch.store import ConflictError, StoreError, audit
from stillwatch.store.appeals import (
    all_appeals,
    answer_appeal,
    appeal,
    invite,
    look,
    object_to,
    reopen,
    revoke,
)
from stillwatch.store.cases import case, queue
from stillwatch.store.database import Store, open_store
from stillwatch.store.decisions import approve, decide, preview, refuse, undo
from stillwatch.store.loading import load
from stillwatch.store.reading import label_rows, snapshot
from stillwatch.store.users import Role
from tests.review.results import accounts, campaign, write_result
from tests.review.serving import Visitor, add_person, served

NOW = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
POLICY = Policy(principals=10)
LONG = Policy(principals=10, longest=dt.timedelta(days=200))


def later(**span: float) -> dt.datetime:
    return NOW + dt.timedelta(**span)


def wanted(action: Action = Action.THROTTLE, case_id: str = "c-1", **more: Any) -> Wanted:
    told = {
        "finding": Finding.EXTRACTION,
        "reason": "one hand, template 7",
        "spread": dt.timedelta(0),
        **more,
    }
    return Wanted(case_id=case_id, action=action, **told)


@pytest.fixture
def loaded(store: Store, tmp_path: Path) -> Store:
    found = [
        campaign("c-1", ["f-a", "f-b"], [*accounts("small", 4), ("gateway", "user-7")]),
        campaign("c-2", ["f-c"], accounts("large", 12)),
    ]
    load(store, write_result(tmp_path / "first", found), "ann", POLICY, NOW)
    return store


def hit(store: Store, at: dt.datetime = NOW) -> set[str]:
    return {row.account_id for row in snapshot(store, at).actions}


def invited(store: Store, account: str = "small-001", at: dt.datetime = NOW, **more: Any) -> tuple[int, str]:
    """A link for one of those whom decision 1 hits."""
    (one,), _ = invite(store, more.pop("decision", 1), "ann", POLICY, at, account, **more)
    return one.number, one.token


def test_a_link_leads_to_the_text_and_takes_one_objection(loaded: Store) -> None:
    decide(loaded, wanted(), "ann", POLICY, NOW)
    made, pending = invite(loaded, 1, "ann", POLICY, NOW)
    assert (len(made), pending) == (5, 0)
    assert [one.token for one in invite(loaded, 1, "bob", POLICY, NOW)[0]] == [one.token for one in made]
    token = made[0].token
    shown = look(loaded, token, later(days=1))
    assert "are limited to 6 a minute" in shown.notice.decided
    assert (shown.state, shown.answer) == ("invited", None)
    with pytest.raises(StoreError, match="write a sentence or two"):
        object_to(loaded, token, " \n", NOW)
    with pytest.raises(StoreError, match="4,000 are kept"):
        object_to(loaded, token, "x" * 4001, NOW)
    number = object_to(loaded, token, "I teach a class", later(days=1))
    with pytest.raises(ConflictError, match="an objection was sent by this link before"):
        object_to(loaded, token, "and another thing", later(days=1))
    assert look(loaded, token, later(days=2)).state == "received"
    row = appeal(loaded, number)
    assert (row["objection"], row["account_id"], row["alike"]) == (
        "I teach a class",
        "gateway",
        {"invited": 4},
    )
    assert "serial" not in row
    found = queue(loaded, "appealed")
    assert ([one["id"] for one in found["rows"]], found["appealed"]) == (["c-1"], 1)


def test_a_link_says_when_the_decision_has_ended(loaded: Store) -> None:
    decide(loaded, wanted(lasts=dt.timedelta(days=10)), "ann", POLICY, NOW)
    token = invite(loaded, 1, "ann", POLICY, NOW)[0][0].token
    assert [look(loaded, token, later(days=days)).over for days in (0, 9, 10)] == [False, False, True]
    undo(loaded, 1, "ann", "a mistake", later(days=1))
    assert look(loaded, token, later(days=1)).over


def test_nobody_can_make_a_link_up_or_read_an_account_from_one(loaded: Store, tmp_path: Path) -> None:
    decide(loaded, wanted(), "ann", POLICY, NOW)
    made, _ = invite(loaded, 1, "ann", POLICY, NOW)
    assert len({one.token for one in made}) == 5
    for one in made:
        assert one.account_id not in one.token
    token = made[0].token
    other = open_store(str(tmp_path / "other.db"))
    forged = token_of(b"guessed", Link(new_serial(), later(days=9)))
    longer = token_of(b"guessed", Link("00" * 16, later(days=900)))
    broken = [token[:-1], token + "A", token[::-1], "", "a" * 50, "é" * 50, "../../etc", forged, longer]
    flipped = [
        token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :] for place in range(48)
    ]
    for text in (*broken, *flipped):
        if text == token:
            continue
        with pytest.raises(StoreError, match="this link leads nowhere"):
            look(loaded, text, NOW)
    with pytest.raises(StoreError, match="this link leads nowhere"):
        look(other, token, NOW)
    other.close()
    with pytest.raises(StoreError, match="this link has ended"):
        look(loaded, token, NOW + POLICY.open_for)
    revoke(loaded, made[0].number, "ann", "it went to the wrong place", NOW)
    with pytest.raises(StoreError, match="this link leads nowhere"):
        object_to(loaded, token, "I teach a class", NOW)


def test_a_link_that_was_revoked_or_has_ended_is_made_anew(loaded: Store) -> None:
    decide(loaded, wanted(lasts=dt.timedelta(days=200)), "ann", LONG, NOW)
    number, lost = invited(loaded)
    revoke(loaded, number, "ann", "it went to the wrong place", NOW)
    again, token = invited(loaded)
    assert (again, look(loaded, token, NOW).state) == (number, "invited")
    with pytest.raises(StoreError, match="this link leads nowhere"):
        look(loaded, lost, NOW)
    object_to(loaded, token, "I teach a class", NOW)
    answer_appeal(loaded, number, "bob", "upheld", "we looked again", NOW)
    # Who comes too late for their answer gets a link that leads to it, and objects no second time.
    end = NOW + POLICY.open_for
    assert invited(loaded, at=end - dt.timedelta(seconds=1))[1] == token
    _, renewed = invited(loaded, at=end)
    shown = look(loaded, renewed, end)
    assert (shown.answer, shown.until) == ("we looked again", end + POLICY.open_for)
    with pytest.raises(ConflictError, match="an objection was sent by this link before"):
        object_to(loaded, renewed, "and another thing", end)
    # Nobody had objected by this one.
    _, first = invited(loaded, "small-002")
    _, second = invited(loaded, "small-002", end)
    with pytest.raises(StoreError, match="this link leads nowhere"):
        object_to(loaded, first, "I teach a class", later(days=1))
    assert object_to(loaded, second, "I teach a class", end) != number


def test_a_token_with_a_time_beyond_all_years_is_no_error() -> None:
    import base64

    from stillwatch.response.appeal import _seal

    told = bytes(16) + b"\xff" * 5
    token = base64.urlsafe_b64encode(told + _seal(b"k", told)).decode().rstrip("=")
    assert read_token(b"k", token) is None


def test_who_is_not_hit_yet_or_only_observed_gets_no_link(loaded: Store) -> None:
    decide(loaded, wanted(spread=dt.timedelta(hours=6)), "ann", POLICY, NOW)
    made, pending = invite(loaded, 1, "ann", POLICY, later(seconds=1))
    assert (len(made), pending) == (0, 5)
    assert len(invite(loaded, 1, "ann", POLICY, later(hours=6))[0]) == 5
    decide(loaded, wanted(Action.OBSERVE), "ann", POLICY, NOW)
    with pytest.raises(StoreError, match="a link would tell them that they are watched"):
        invite(loaded, 2, "ann", POLICY, NOW)
    decide(loaded, wanted(Action.SUSPEND, "c-2"), "ann", POLICY, NOW)
    with pytest.raises(ConflictError, match="decision 3 is proposed"):
        invite(loaded, 3, "ann", POLICY, NOW)
    for number, account in ((9, None), (1, "large-001")):
        with pytest.raises(StoreError, match=r"there is no decision 9|hits nobody of that name"):
            invite(loaded, number, "ann", POLICY, NOW, account)


def test_another_person_than_those_who_decided_answers(loaded: Store) -> None:
    approve(loaded, decide(loaded, wanted(case_id="c-2"), "ann", POLICY, NOW), "bob", NOW)
    number, token = invited(loaded, "large-001")
    object_to(loaded, token, "I teach a class", NOW)
    for name in ("ann", "bob"):
        with pytest.raises(
            ConflictError, match=f"{name} had a hand in decision 1; another person must answer"
        ):
            answer_appeal(loaded, number, name, "upheld", "it stands", NOW)
    with pytest.raises(StoreError, match="an appeal is upheld or reversed"):
        answer_appeal(loaded, number, "carol", "maybe", "it stands", NOW)
    with pytest.raises(StoreError, match="tell the accused why"):
        answer_appeal(loaded, number, "carol", "upheld", " ", NOW)
    answer_appeal(loaded, number, "carol", "upheld", "we looked again", NOW)
    with pytest.raises(ConflictError, match="is upheld and not received"):
        answer_appeal(loaded, number, "carol", "reversed", "after all", NOW)
    assert look(loaded, token, NOW).answer == "we looked again"
    assert "large-001" in hit(loaded)
    assert queue(loaded, "appealed")["rows"] == []


def test_who_decided_cannot_take_back_what_another_answered(loaded: Store) -> None:
    approve(loaded, decide(loaded, wanted(case_id="c-2"), "ann", POLICY, NOW), "bob", NOW)
    number, token = invited(loaded, "large-001")
    object_to(loaded, token, "I teach a class", NOW)
    answer_appeal(loaded, number, "carol", "reversed", "it was a class", NOW)
    for name in ("ann", "bob"):
        with pytest.raises(ConflictError, match=f"{name} had a hand in decision 1; .* or reopen it"):
            reopen(loaded, number, name, "there is no class", NOW)
    assert "large-001" not in hit(loaded)
    reopen(loaded, number, "dan", "there is no class", NOW)
    assert "large-001" in hit(loaded)


def test_who_wins_is_let_be_by_every_action_of_the_case_and_stays_so(loaded: Store, tmp_path: Path) -> None:
    decide(loaded, wanted(), "ann", POLICY, NOW)
    decide(loaded, wanted(Action.HIDE_REASONING, follows=True), "ann", POLICY, NOW)
    number, token = invited(loaded)
    object_to(loaded, token, "I teach a class", NOW)
    answer_appeal(loaded, number, "bob", "reversed", "it was a class", later(hours=1))
    assert hit(loaded) == {"small-000", "small-002", "small-003", "gateway"}
    assert look(loaded, token, NOW).state == "reversed"
    # The others may be in the same place, so the case comes back.
    assert case(loaded, "c-1")["state"] == "new"
    shown = preview(loaded, wanted(Action.SUSPEND), POLICY)
    assert (shown.principals, shown.cleared) == (4, 1)
    decide(loaded, wanted(Action.SUSPEND), "ann", POLICY, later(hours=2))
    again = [campaign("c-1", ["f-a"], [*accounts("small", 4), *accounts("fresh", 1)])]
    load(loaded, write_result(tmp_path / "second", again, days=9), "ann", POLICY, later(days=2))
    assert hit(loaded) == {"small-000", "small-002", "small-003", "gateway", "fresh-000"}
    # An answer can be taken back, like everything else.
    reopen(loaded, number, "bob", "the class does not exist", later(days=3))
    assert "small-001" in hit(loaded)
    assert (look(loaded, token, NOW).state, queue(loaded)["appealed"]) == ("received", 1)
    assert audit.verify(loaded).broken == ""
    said = "".join(one.details for one in audit.entries(loaded) if one.kind.startswith("appeal."))
    assert "small-001" not in said
    assert "principal-" in said


def test_a_proposal_does_not_hit_who_won_since(loaded: Store) -> None:
    one = wanted(case_id="c-2", scope=Scope.PRINCIPAL, account_id="large-001")
    decide(loaded, one, "ann", POLICY, NOW)
    number, token = invited(loaded, "large-001")
    waits = decide(loaded, wanted(Action.SUSPEND, "c-2"), "ann", POLICY, NOW)
    object_to(loaded, token, "I teach a class", NOW)
    answer_appeal(loaded, number, "bob", "reversed", "it was a class", NOW)
    with pytest.raises(ConflictError, match="1 of those whom it would hit were cleared or won an appeal"):
        approve(loaded, waits, "bob", NOW)
    refuse(loaded, waits, "bob", "one of them won", NOW)
    approve(loaded, decide(loaded, wanted(Action.SUSPEND, "c-2"), "ann", POLICY, NOW), "bob", NOW)
    assert hit(loaded) == {name for name, _ in accounts("large", 12)} - {"large-001"}


def test_appeals_are_labels(loaded: Store, tmp_path: Path) -> None:
    decide(loaded, wanted(), "ann", POLICY, NOW)
    decide(loaded, wanted(Action.STEP_UP, "c-2", finding=Finding.UNSURE, scope=Scope.PRINCIPAL, account_id="large-001"),
           "ann", POLICY, NOW)  # fmt: skip
    for account, outcome, decision in (
        ("small-001", "reversed", 1), ("small-002", "upheld", 1), ("large-001", "reversed", 2),
    ):  # fmt: skip
        number, token = invited(loaded, account, decision=decision)
        object_to(loaded, token, "I teach a class", NOW)
        answer_appeal(loaded, number, "bob", outcome, "so it is", later(hours=1))
    write_labels([*label_rows(loaded)], tmp_path / "labels.parquet")
    labels = {one.subject: one for one in read_labels(tmp_path / "labels.parquet").labels}
    assert {subject[2]: (one.source, one.standing) for subject, one in labels.items() if subject[2]} == {
        "small-001": ("appeal", Standing.INNOCENT),
        "small-002": ("appeal", Standing.EXTRACTION),
        "large-001": ("appeal", Standing.OVERTURNED),
    }
    assert labels["c-1", None, None, None].standing is Standing.EXTRACTION
    # A later decision of people on the same principal takes the place of the appeal's.
    clears = wanted(Action.OBSERVE, finding=Finding.LICENSED, scope=Scope.PRINCIPAL, account_id="small-002")
    decide(loaded, clears, "ann", POLICY, later(hours=2))
    rows = {row.get("account_id"): row["decision"] for row in label_rows(loaded)}
    assert rows["small-002"] == "licensed"


def test_an_upheld_appeal_says_nothing_once_its_decision_was_taken_back(loaded: Store) -> None:
    decide(loaded, wanted(), "ann", POLICY, NOW)
    for account, outcome in (("small-001", "upheld"), ("small-002", "reversed")):
        number, token = invited(loaded, account)
        object_to(loaded, token, "I teach a class", NOW)
        answer_appeal(loaded, number, "bob", outcome, "so it is", NOW)
    assert {row.get("appeal") for row in label_rows(loaded)} == {None, "upheld", "reversed"}
    undo(loaded, 1, "ann", "a class", NOW)
    assert [(row["account_id"], row["appeal"]) for row in label_rows(loaded)] == [("small-002", "reversed")]


def test_of_many_objections_at_once_one_is_taken(loaded: Store) -> None:
    decide(loaded, wanted(), "ann", POLICY, NOW)
    _, token = invited(loaded)

    def attempt(number: int) -> bool:
        try:
            object_to(loaded, token, f"objection {number}", NOW)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(attempt, range(20))) == 1
    assert all_appeals(loaded)["counts"]["received"] == 1


def test_the_text_teaches_nothing() -> None:
    """Every text there is: no number but the action's own, no word of the method."""
    forbidden = (
        "probab", "evidence", "signal", "famil", "template", "cluster", "finger", "payment", "address", "cover",
        "lockstep", "bits", "calibrat", "log-likelihood", "campaign", "%",
    )  # fmt: skip
    texts = 0
    models = {"models": ["small-1", "small-2"]}
    for action, finding, scope in product(Action, (Finding.EXTRACTION, Finding.UNSURE), Scope):
        if action is Action.OBSERVE:
            continue
        parameters = parameters_of(action, models if action is Action.RESTRICT_TIER else {})
        told = notice(action, finding, scope, parameters, NOW, later(days=30), True, dt.timedelta(days=14))
        text = " ".join((told.decided, told.why, told.people, *told.objecting))
        assert "{" not in text
        plain = text.lower().replace("log-probabilities", "")  # which the customer asked for
        assert not [word for word in forbidden if word in plain], text
        assert "Since 10 March 2026" in text
        assert "within 14 days" in text
        texts += 1
    assert texts == (len(MEANINGS) - 1) * 2 * 3


@pytest.fixture
def address(tmp_path: Path) -> Iterator[tuple[str, str, int]]:
    """A server, and a link to it of one whom a decision hits, over SQLite alone."""
    at = dt.datetime.now(dt.UTC)
    store = open_store(str(tmp_path / "review.db"))
    for name, role in (("vera", Role.VIEWER), ("ann", Role.APPROVER), ("bob", Role.APPROVER)):
        add_person(store, name, role)
    load(
        store,
        write_result(tmp_path / "first", [campaign("c-1", ["f-a"], accounts("small", 4))]),
        "ann",
        POLICY,
        at,
    )
    decide(store, wanted(), "ann", POLICY, at)
    number, token = invited(store, at=dt.datetime.now(dt.UTC))
    with served(store) as found:
        yield found, token, number
    store.close()


def test_the_pages_of_an_appeal(address: tuple[str, str, int]) -> None:
    place, token, number = address
    accused, bob, ann, vera = (
        Visitor(place),
        Visitor(place, "bob"),
        Visitor(place, "ann"),
        Visitor(place, "vera"),
    )
    page = accused.get(f"/appeal/{token}")
    assert page.status_code == 200
    assert "Since" in page.text
    for name in ("small-0", "f-a", "c-1", "ann", "one hand", "template 7", "/cases"):
        assert name not in page.text, name
    assert page.headers["cache-control"] == "no-store"
    evil = "I teach <script>alert(1)</script> a class"
    assert accused.post(f"/appeal/{token}", objection=evil).status_code == 303
    assert "We have it since" in accused.get(f"/appeal/{token}").text
    assert accused.post(f"/appeal/{token}", objection="more").status_code == 409
    for path in ("/appeal/" + "A" * 50, "/appeal/x"):
        gone = accused.get(path)
        assert (gone.status_code, "leads nowhere" in gone.text) == (404, True)
    assert accused.get("/appeals").status_code == 303

    assert f"appeal {number}" in bob.get("/appeals").text
    assert 'appealed <span class="note">1' in bob.get("/cases").text
    assert "1 appeal" in bob.get("/cases?state=appealed").text
    shown = bob.get(f"/appeals/{number}").text
    assert "&lt;script&gt;" in shown
    assert "<script>alert" not in shown
    assert "another person must answer" in ann.get(f"/appeals/{number}").text
    answer = {"outcome": "reversed", "text": "it was a class"}
    assert ann.post(f"/appeals/{number}/answer", **answer).status_code == 409
    assert vera.post(f"/appeals/{number}/answer", **answer).status_code == 403
    assert bob.post(f"/appeals/{number}/answer", **answer).status_code == 303
    done = accused.get(f"/appeal/{token}").text
    assert "has ended for this account" in done
    assert "it was a class" in done
    assert "another person may take the answer back" in ann.get(f"/appeals/{number}").text
    assert ann.post(f"/appeals/{number}/reopen", reason="wrong one").status_code == 409
    assert bob.post(f"/appeals/{number}/reopen", reason="wrong one").status_code == 303
    assert bob.get(f"/appeals/{number}.json").json()["state"] == "received"


def test_a_link_is_not_guessed_by_trying(tmp_path: Path) -> None:
    from stillwatch.review.settings import Settings

    store = open_store(str(tmp_path / "review.db"))
    with served(store, Settings(logins_a_minute=3)) as place:
        accused = Visitor(place)
        answers = [accused.post("/appeal/" + "A" * 50, objection="x").status_code for _ in range(5)]
    store.close()
    assert answers == [400, 400, 400, 429, 429]


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [*map(str, words)], catch_exceptions=False)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://review.example.org", "must reach it by https://"),
        ("http://localhost.evil.example", "must reach it by https://"),
        ("http://127.0.0.1@evil.example", "must reach it by https://"),
        ("http://127.0.0.1.evil.example", "must reach it by https://"),
        ("https://", "must reach it by https://"),
        ("https://[", "must reach it by https://"),
        ("https://ann:pw@review.example.org", "give the place alone"),
        ("https://review.example.org/?to=", "give the place alone"),
        ("https://review.example.org#", "give the place alone"),
    ],
)
def test_links_go_to_no_address_where_they_are_read_on_the_way(
    tmp_path: Path, address: str, message: str
) -> None:
    told = ("appeal", "invite", "1", "--address", address, "--out", str(tmp_path / "links.csv"))
    wrong = CliRunner().invoke(app, [*told, "--store", str(tmp_path / "review.db")], env={"COLUMNS": "300"})
    assert (wrong.exit_code, message in wrong.output) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_list_of_appeals_says_that_there_are_more(tmp_path: Path) -> None:
    place = tmp_path / "review.db"
    store = open_store(str(place))
    many = Policy(principals=1000, innocent=9)
    load(store, write_result(tmp_path / "r", [campaign("c-1", ["f-a"], accounts("m", 60))]), "ann", many, NOW)
    decide(store, wanted(), "ann", many, NOW)
    invite(store, 1, "ann", many, NOW)
    store.close()
    first = run("appeal", "list", "--state", "invited", "--store", place).output.splitlines()
    assert (len(first), first[-1].endswith("60 invited, 0 revoked; more with --start 50")) == (51, True)
    rest = run("appeal", "list", "--state", "invited", "--start", 50, "--store", place).output.splitlines()
    assert (len(rest), "more with" in rest[-1]) == (11, False)
    assert not set(first[:-1]) & set(rest)


def test_by_command_to_the_next_scan(tmp_path: Path) -> None:
    simulate(PRESETS["tiny"], tmp_path / "log")
    source, keys = (
        Source((tmp_path / "log" / "exchanges.parquet",)),
        Keys(local=b"a key for the tests of appeals"),
    )
    scan(source, tmp_path / "result", keys, Options())
    store = ("--store", tmp_path / "review.db")
    run("review", "load", tmp_path / "result", *store, "--by", "ann")
    (row,) = json.loads(run("review", "list", "--json", *store).output)["rows"]
    run("review", "decide", row["id"], "--action", "throttle", "--reason", "one hand", "--spread", "0s", *store,
        "--by", "ann")  # fmt: skip
    run("review", "approve", 1, *store, "--by", "bob")
    out = tmp_path / "links.csv"
    told = run("appeal", "invite", 1, "--address", "https://review.example.org/", "--out", out, *store).output
    assert told == f"{row['principals']} links in {out}\n"
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    with out.open(newline="") as file:
        links = list(csv.DictReader(file))
    assert links[0]["link"].startswith("https://review.example.org/appeal/")
    opened = open_store(str(tmp_path / "review.db"))
    number = object_to(
        opened, links[0]["link"].rpartition("/")[2], "I teach a class", dt.datetime.now(dt.UTC)
    )
    opened.close()
    assert f"{number}  received" in run("appeal", "list", *store).output
    assert json.loads(run("appeal", "show", number, *store).output)["objection"] == "I teach a class"
    assert row["id"] in run("review", "list", "--state", "appealed", *store).output
    answer = (
        "appeal",
        "answer",
        number,
        "--outcome",
        "reversed",
        "--answer",
        "it was a class",
        *store,
        "--by",
        "carol",
    )
    assert run(*answer).output == f"appeal {number} is reversed\n"
    run("review", "labels", "--out", tmp_path / "labels.parquet", *store)
    labels = read_labels(tmp_path / "labels.parquet")
    again = scan(source, tmp_path / "again", keys, Options(labels=labels))
    verdicts = {
        one["account_id"]: one["verdict"] for one in again.accounts.to_pylist() if not one["end_user_id"]
    }
    assert verdicts[links[0]["account_id"]] == "undetermined"
    assert verdicts[links[1]["account_id"]] == "extraction"
    card = json.loads((tmp_path / "again" / "overview.json").read_text())["labels"]["appeals"]
    assert (card["upheld"], card["reversed"], card["share_reversed"]) == (0, 1, 1.0)
    assert (
        "waits for an answer again" in run("appeal", "reopen", number, "--reason", "wrong one", *store).output
    )
    assert "leads nowhere now" in run("appeal", "revoke", 2, "--reason", "lost", *store).output
    wrong = CliRunner().invoke(
        app, ["appeal", "list", "--state", "old"], env={"COLUMNS": "300", "TERM": "dumb"}
    )
    assert (wrong.exit_code, "'old' is none of received" in wrong.output) == (2, True)

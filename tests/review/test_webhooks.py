"""Other programs are told what begins and what ends, over a real server that fails, is slow, and comes back."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import sqlalchemy as sa
from click.testing import Result
from typer.testing import CliRunner

from stillwatch.cli import app
from stillwatch.response import ResponseError
from stillwatch.response.actions import Action, Finding, Scope
from stillwatch.response.decision import Wanted
from stillwatch.response.policy import Policy, read_policy
from stillwatch.response.webhooks import Shape, Webhook, headers_of, verified
from stillwatch.store import audit
from stillwatch.store.database import Store, open_store
from stillwatch.store.decisions import decide, refuse, undo
from stillwatch.store.loading import load
from stillwatch.store.proposals import accept, waiting
from stillwatch.store.sending import ATTEMPTS, CLAIM, delivery_counts, send_due, try_again
from stillwatch.store.tables import outbox
from tests.review.results import accounts, campaign, write_result

NOW = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
SECRET = "a secret of the tests of webhooks"
POLICY = Policy(principals=10)


@dataclass
class Receiver:
    """What another program would be: it checks every message, and answers as it is told."""

    url: str
    status: list[int] = field(default_factory=list)
    """Answers of the next requests; 200 where none are left."""
    slow_s: float = 0.0
    taken: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Query and body of what was signed and taken."""
    ids: list[str] = field(default_factory=list)
    asked: int = 0
    now: dt.datetime = NOW

    def events(self) -> list[tuple[str, str, str]]:
        return [
            (body["event"], body["action"]["account_id"], body["action"]["action"]) for _, body in self.taken
        ]


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("RECEIVER_SECRET", SECRET)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            there.asked += 1
            if there.slow_s:
                time.sleep(there.slow_s)
            answer = there.status.pop(0) if there.status else 200
            headers = {name.lower(): value for name, value in self.headers.items()}
            number = verified(SECRET.encode(), headers, body, there.now)
            if number is None:
                answer = 401
            if answer == 200:
                there.ids.append(str(number))
                there.taken.append((urlsplit(self.path).query, json.loads(body)))
            self.send_response(answer)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    there = Receiver(f"http://127.0.0.1:{server.server_port}/hook")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield there
    server.shutdown()
    server.server_close()


def hook(receiver: Receiver, shape: Shape = Shape.STILLWATCH, name: str = "gateway") -> Webhook:
    return Webhook(name, receiver.url, "RECEIVER_SECRET", shape)


def wanted(action: Action = Action.THROTTLE, **more: Any) -> Wanted:
    told = {"finding": Finding.EXTRACTION, "reason": "one hand", "spread": dt.timedelta(0), **more}
    return Wanted(case_id="c-1", action=action, **told)


@pytest.fixture
def loaded(store: Store, tmp_path: Path) -> Store:
    people = [*accounts("small", 2), ("gateway", "user-7")]
    load(store, write_result(tmp_path / "first", [campaign("c-1", ["f-a"], people)]), "ann", POLICY, NOW)
    return store


def send(store: Store, receiver: Receiver, at: dt.datetime = NOW, *webhooks: Webhook, **more: Any) -> Any:
    receiver.now = at
    return send_due(store, webhooks or (hook(receiver),), lambda: at, **more)


def test_who_is_hit_is_told_when_it_begins_and_not_before(loaded: Store, receiver: Receiver) -> None:
    decide(loaded, wanted(spread=dt.timedelta(hours=6), lasts=dt.timedelta(days=2)), "ann", POLICY, NOW)
    with loaded.reading() as connection:
        begins = sorted(
            connection.execute(sa.select(outbox.c.due_at).where(outbox.c.event == "action.begins")).scalars()
        )
    assert len(set(begins)) == 3
    send(loaded, receiver, begins[1])
    assert len(receiver.taken) == 2
    send(loaded, receiver, NOW + dt.timedelta(hours=6))
    assert sorted(one[1] for one in receiver.events()) == ["gateway", "small-000", "small-001"]
    _, body = next(one for one in receiver.taken if one[1]["action"]["account_id"] == "gateway")
    assert (body["event"], body["decision"], body["action"]["end_user_id"]) == ("action.begins", 1, "user-7")
    # It ends by itself, and that is told too.
    send(loaded, receiver, NOW + dt.timedelta(days=2))
    assert [one[0] for one in receiver.events()[3:]] == ["action.ends"] * 3
    assert send(loaded, receiver, NOW + dt.timedelta(days=9)).delivered == 0


def test_what_is_taken_back_is_ended_once_and_what_had_not_begun_is_told_to_nobody(
    loaded: Store, receiver: Receiver
) -> None:
    number = decide(loaded, wanted(), "ann", POLICY, NOW)
    send(loaded, receiver)
    later = NOW + dt.timedelta(hours=1)
    undo(loaded, number, "ann", "a class", later)
    other = decide(loaded, wanted(Action.SUSPEND, spread=dt.timedelta(hours=6)), "ann", POLICY, later)
    undo(loaded, other, "ann", "a class", later)
    send(loaded, receiver, later)
    send(loaded, receiver, NOW + dt.timedelta(days=60))
    assert receiver.events()[3:] == [
        ("action.ends", name, "throttle") for name in ("gateway", "small-000", "small-001")
    ]
    counts = {row["state"]: row["messages"] for row in delivery_counts(loaded)}
    assert counts == {"delivered": 6, "void": 6}


def test_whoever_is_cleared_is_ended_and_begins_again_when_that_is_taken_back(
    loaded: Store, receiver: Receiver
) -> None:
    decide(loaded, wanted(), "ann", POLICY, NOW)
    send(loaded, receiver)
    clears = wanted(
        Action.OBSERVE, finding=Finding.INNOCENT, scope=Scope.PRINCIPAL, account_id="small-001",
    )  # fmt: skip
    cleared = decide(loaded, clears, "ann", POLICY, NOW)
    send(loaded, receiver)
    assert receiver.events()[3:] == [("action.ends", "small-001", "throttle")]
    later = NOW + dt.timedelta(hours=1)
    undo(loaded, cleared, "ann", "it was the other one", later)
    send(loaded, receiver, later)
    assert receiver.events()[4:] == [("action.begins", "small-001", "throttle")]
    assert len(set(receiver.ids)) == 5


def test_a_receiver_that_fails_is_tried_again_longer_apart_and_nothing_is_told_twice(
    loaded: Store, receiver: Receiver
) -> None:
    decide(loaded, wanted(), "ann", POLICY, NOW)
    receiver.status = [500, 503, 302]
    assert send(loaded, receiver).failed == 3
    assert send(loaded, receiver, NOW + dt.timedelta(seconds=4)).failed == 0
    assert receiver.asked == 3
    receiver.status = [500]
    at = NOW + dt.timedelta(seconds=7)
    assert (send(loaded, receiver, at).failed, len(receiver.taken)) == (1, 2)
    assert send(loaded, receiver, at + dt.timedelta(seconds=9)).delivered == 0  # twice as long as at first
    assert send(loaded, receiver, at + dt.timedelta(seconds=13)).delivered == 1
    assert len(set(receiver.ids)) == len(receiver.ids) == 3


def test_a_receiver_that_is_slow_or_gone_is_given_up_in_the_end_and_may_be_tried_again(
    loaded: Store, receiver: Receiver
) -> None:
    decide(loaded, wanted(scope=Scope.PRINCIPAL, account_id="small-000"), "ann", POLICY, NOW)
    receiver.slow_s = 0.5
    with httpx.Client(timeout=0.1) as hasty:
        assert send(loaded, receiver, client=hasty).failed == 1
    row = delivery_counts(loaded)[0]
    assert (row["state"], row["wrong"]) == ("waiting", "ReadTimeout")
    receiver.slow_s, at = 0.0, NOW
    receiver.status = [500] * ATTEMPTS
    sent = None
    for _ in range(ATTEMPTS - 1):
        at += dt.timedelta(hours=8)
        sent = send(loaded, receiver, at)
    assert sent is not None
    assert sent.given_up == 1
    assert "webhook.given_up" in [one.kind for one in audit.entries(loaded)]
    receiver.status = []
    assert send(loaded, receiver, at + dt.timedelta(hours=8)).delivered == 0
    assert try_again(loaded, at) == 1
    assert send(loaded, receiver, at).delivered == 1


def test_two_who_send_at_once_tell_nobody_twice(store: Store, tmp_path: Path, receiver: Receiver) -> None:
    policy = Policy(principals=1000, innocent=9)
    load(
        store,
        write_result(tmp_path / "many", [campaign("c-1", ["f-a"], accounts("m", 150))]),
        "ann",
        policy,
        NOW,
    )
    decide(store, wanted(), "ann", policy, NOW)
    with ThreadPoolExecutor(4) as pool:
        delivered = [one.delivered for one in pool.map(lambda _: send(store, receiver), range(4))]
    assert sum(delivered) == len(receiver.ids) == len(set(receiver.ids)) == 150


def test_nothing_is_lost_where_a_sender_is_killed(tmp_path: Path, receiver: Receiver) -> None:
    place = str(tmp_path / "review.db")
    store = open_store(place)
    load(
        store,
        write_result(tmp_path / "one", [campaign("c-1", ["f-a"], accounts("m", 6))]),
        "ann",
        POLICY,
        NOW,
    )
    decide(store, wanted(), "ann", POLICY, NOW)
    code = (
        "import datetime as dt, os, sys\n"
        "from stillwatch.response.webhooks import Webhook\n"
        "from stillwatch.store import sending\n"
        "from stillwatch.store.database import open_store\n"
        "at = dt.datetime.fromisoformat(sys.argv[3])\n"
        "posted = []\n"
        "def dies(*a, real=sending._post):\n"
        "    if posted: os.kill(os.getpid(), 9)\n"
        "    posted.append(real(*a)); return posted[0]\n"
        "sending._post = dies\n"
        "sending.send_due(open_store(sys.argv[1]), [Webhook('gateway', sys.argv[2], 'RECEIVER_SECRET')], lambda: at)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, place, receiver.url, NOW.isoformat()], check=False)
    assert done.returncode == -9
    assert len(receiver.taken) == 1
    assert send(store, receiver).delivered == 0  # the claim of the killed one has not run out
    assert send(store, receiver, NOW + CLAIM).delivered == 5
    assert len({one[1] for one in receiver.events()}) == 6
    store.close()


def test_coop_gets_the_body_of_its_action_callback(loaded: Store, receiver: Receiver, tmp_path: Path) -> None:
    rules = tmp_path / "policy.toml"
    rules.write_text(
        'version = 1\n[[rules]]\nname = "certain"\nmode = "propose"\naction = "suspend"\nspread = "0s"\n'
    )
    policy = read_policy(rules)
    from stillwatch.store.proposals import propose

    propose(loaded, policy, "ann", NOW)
    number = accept(loaded, waiting(loaded)[0]["id"], "ann@example.org", "one hand", policy, NOW)
    again = decide(
        loaded, wanted(Action.SUSPEND, scope=Scope.PRINCIPAL, account_id="small-000"), "ann", POLICY, NOW
    )
    coop = hook(receiver, Shape.COOP, "coop")
    send(loaded, receiver, NOW, coop)
    bodies = [body for _, body in receiver.taken]
    assert len(bodies) == 4
    one = next(body for body in bodies if body["item"]["typeId"] == "end_user")
    assert one["item"] == {"id": "gateway/user-7", "typeId": "end_user"}
    assert one["action"] == {"id": "suspend"}
    assert one["policies"] == [{"id": "model-extraction", "name": "Model extraction", "penalty": "SEVERE"}]
    assert one["rules"] == [{"id": "certain", "name": "certain"}]
    assert (one["actorEmail"], one["decisionReason"]) == ("ann@example.org", "one hand")
    assert (one["custom"]["account_id"], one["custom"]["end_user_id"]) == ("gateway", "user-7")
    # One of them is suspended by two decisions: Coop cannot tell them apart, so the last one ends it.
    later = NOW + dt.timedelta(hours=1)
    undo(loaded, number, "ann", "a class", later)
    send(loaded, receiver, later, coop)
    ended = [body["item"]["id"] for _, body in receiver.taken[4:]]
    assert sorted(ended) == ["gateway/user-7", "small-001"]
    assert {body["action"]["id"] for _, body in receiver.taken[4:]} == {"end_suspend"}
    undo(loaded, again, "ann", "a class", later)
    send(loaded, receiver, later, coop)
    assert [body["item"]["id"] for _, body in receiver.taken[6:]] == ["small-000"]


def test_osprey_gets_a_label_that_expires(loaded: Store, receiver: Receiver) -> None:
    number = decide(loaded, wanted(lasts=dt.timedelta(days=2)), "ann", POLICY, NOW)
    osprey = Webhook("osprey", receiver.url, "RECEIVER_SECRET", Shape.OSPREY, account_type="User")
    send(loaded, receiver, NOW, osprey)
    query, body = next(one for one in receiver.taken if "small-000" in one[0])
    assert parse_qs(query) == {"entity_id": ["small-000"], "entity_type": ["User"]}
    assert body == {
        "mutations": [
            {
                "label_name": "extraction_throttle",
                "status": 3,
                "reason": "one hand",
                "expires_at": (NOW + dt.timedelta(days=2)).isoformat(),
            }
        ]
    }
    undo(loaded, number, "ann", "a class", NOW)
    send(loaded, receiver, NOW, osprey)
    removed = receiver.taken[-1][1]["mutations"][0]
    assert (removed["status"], removed["expires_at"]) == (2, NOW.isoformat())


def test_end_users_of_one_name_are_two_to_coop_and_osprey(
    store: Store, tmp_path: Path, receiver: Receiver
) -> None:
    people = [("one", "u1"), ("two", "u1"), ("a/b", "c"), ("a", "b/c")]
    load(store, write_result(tmp_path / "users", [campaign("c-1", ["f-a"], people)]), "ann", POLICY, NOW)
    osprey, coop = hook(receiver, Shape.OSPREY, "osprey"), hook(receiver, Shape.COOP, "coop")
    numbers = [
        decide(
            store, wanted(Action.SUSPEND, scope=Scope.PRINCIPAL, account_id=account, end_user_id=user),
            "ann", POLICY, NOW,
        )
        for account, user in people
    ]  # fmt: skip
    send(store, receiver, NOW, osprey)
    assert sorted(parse_qs(query)["entity_id"][0] for query, _ in receiver.taken) == [
        "a%2Fb/c", "a/b%2Fc", "one/u1", "two/u1",
    ]  # fmt: skip
    send(store, receiver, NOW, coop)
    assert len({body["item"]["id"] for _, body in receiver.taken[4:]}) == 4
    receiver.taken.clear()
    undo(store, numbers[0], "ann", "a class", NOW)
    send(store, receiver, NOW, osprey, coop)
    (query, body), (_, other) = receiver.taken
    assert (parse_qs(query)["entity_id"], body["mutations"][0]["status"]) == (["one/u1"], 2)
    assert (other["item"]["id"], other["action"]["id"]) == ("one/u1", "end_suspend")


def test_an_action_on_a_family_is_no_action_on_the_whole_account(loaded: Store, receiver: Receiver) -> None:
    osprey, coop = hook(receiver, Shape.OSPREY, "osprey"), hook(receiver, Shape.COOP, "coop")
    whole = decide(loaded, wanted(Action.SUSPEND), "ann", POLICY, NOW)
    family = decide(loaded, wanted(Action.SUSPEND, scope=Scope.FAMILY, family_id="f-a"), "ann", POLICY, NOW)
    send(loaded, receiver, NOW, osprey)
    assert len(receiver.taken) == 3  # a label has no place for a family
    send(loaded, receiver, NOW, coop)
    told = [(body["action"]["id"], body["custom"]["family_id"]) for _, body in receiver.taken[3:]]
    assert sorted(told, key=str) == [("suspend", None)] * 3 + [("suspend_family", "f-a")] * 3
    receiver.taken.clear()
    # The whole action ends, though that on the family goes on.
    undo(loaded, whole, "ann", "a class", NOW)
    send(loaded, receiver, NOW, osprey, coop)
    assert [body["mutations"][0]["status"] for _, body in receiver.taken[:3]] == [2] * 3
    assert {body["action"]["id"] for _, body in receiver.taken[3:]} == {"end_suspend"}
    receiver.taken.clear()
    undo(loaded, family, "ann", "a class", NOW)
    send(loaded, receiver, NOW, osprey, coop)
    assert [body["action"]["id"] for _, body in receiver.taken] == ["end_suspend_family"] * 3


def test_people_are_told_of_what_waits_and_only_where_there_is_a_place_for_it(
    store: Store, tmp_path: Path, receiver: Receiver
) -> None:
    load(
        store,
        write_result(tmp_path / "one", [campaign("c-1", ["f-a"], accounts("m", 12))]),
        "ann",
        POLICY,
        NOW,
    )
    number = decide(store, wanted(), "ann", POLICY, NOW)
    send(store, receiver, NOW, hook(receiver), hook(receiver, Shape.COOP, "coop"))
    assert [body for _, body in receiver.taken] == [
        {
            "event": "decision.proposed", "at": NOW.isoformat(), "case": "c-1", "decision": number, "principals": 12,
            "approval": "it hits 12 principals, and from 10 on a second person approves",
        }
    ]  # fmt: skip
    refuse(store, number, "bob", "too many", NOW)
    assert send(store, receiver, NOW + dt.timedelta(days=1)).delivered == 0


def test_a_copy_an_old_message_and_another_body_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECEIVER_SECRET", SECRET)
    webhook = Webhook("x", "https://example.org", "RECEIVER_SECRET")
    headers = headers_of(webhook, "x-7", b"{}", NOW)
    # By openssl, after the text of the standard: id, time and body with dots between.
    assert headers["webhook-signature"] == "v1,8bgLTSs+F6cLmj8zAiafwmX/aCBGyDdTDvRqRYQTKeY="
    key = SECRET.encode()
    assert verified(key, headers, b"{}", NOW + dt.timedelta(minutes=5)) == "x-7"
    assert verified(key, headers, b"{}", NOW + dt.timedelta(minutes=5, seconds=1)) is None
    assert verified(key, headers, b"{}", NOW - dt.timedelta(minutes=6)) is None
    assert verified(key, headers, b"{ }", NOW) is None
    assert verified(b"another secret", headers, b"{}", NOW) is None
    assert verified(key, headers | {"webhook-id": "x-8"}, b"{}", NOW) is None
    assert verified(key, headers | {"webhook-timestamp": "1"}, b"{}", NOW) is None
    assert verified(key, {}, b"{}", NOW) is None
    rotated = headers | {"webhook-signature": "v1,old " + headers["webhook-signature"]}
    assert verified(key, rotated, b"{}", NOW) == "x-7"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "x"\nurl = "http://example.org"\nsecret_env = "S"', "its url must begin with https://"),
        ('name = "x"\nurl = "ftp://127.0.0.1"\nsecret_env = "S"', "its url must begin with https://"),
        ('name = "x"\nurl = "https://a:b@example.org"\nsecret_env = "S"', "take the password out of its url"),
        ('name = "x"\nurl = "https://example.org"', "webhook x: Object missing required field `secret_env`"),
        ('name = "x"\nurl = "https://example.org"\nsecret = "S"', "webhook x has no secret; allowed are"),
        (
            'name = "x"\nurl = "https://example.org"\nsecret_env = "S"\nend_user_type = "account"',
            "webhook x: account_type and end_user_type are one",
        ),
        (
            'name = "x"\nurl = "https://example.org"\nsecret_env = "S"\nshape = "slack"',
            "Invalid enum value 'slack'",
        ),
    ],
)
def test_a_webhook_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(f"version = 1\n[[webhooks]]\n{text}\n")
    with pytest.raises(ResponseError) as raised:
        read_policy(path)
    assert message in str(raised.value)


def test_by_command(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*words: object) -> Result:
        return CliRunner().invoke(app, ["webhooks", *map(str, words)], catch_exceptions=False)

    store, policy = tmp_path / "review.db", tmp_path / "policy.toml"
    policy.write_text(
        f'version = 1\n[[webhooks]]\nname = "gateway"\nurl = "{receiver.url}"\nsecret_env = "RECEIVER_SECRET"\n'
    )
    opened = open_store(str(store))
    now = receiver.now = dt.datetime.now(dt.UTC)
    load(
        opened,
        write_result(tmp_path / "one", [campaign("c-1", ["f-a"], accounts("m", 2))]),
        "ann",
        POLICY,
        now,
    )
    decide(opened, wanted(), "ann", POLICY, now)
    opened.close()
    receiver.status = [500]
    assert (
        run("send", "--store", store, "--policy", policy).output
        == "1 delivered, 1 to be tried again, 0 given up\n"
    )
    assert "gateway: 1 waiting, at most 1 attempts, it answered 500" in run("list", "--store", store).output
    assert run("retry", "--store", store).output == "1 to be tried again\n"
    assert run("send", "--store", store, "--policy", policy).output.startswith("1 delivered")
    assert {row["state"] for row in json.loads(run("list", "--store", store, "--json").output)} == {
        "delivered"
    }
    monkeypatch.setenv("RECEIVER_SECRET", "short")
    with pytest.raises(ResponseError, match="set RECEIVER_SECRET to a secret of 24 characters or more"):
        run("send", "--store", store, "--policy", policy)
    assert SECRET not in store.read_bytes().decode("latin-1")

"""Further controls of the pages: passwords, sessions, what is sent twice or too much, and what is left on a machine."""

from __future__ import annotations

import ast
import base64
import datetime as dt
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

import stillwatch
from stillwatch.response.policy import Policy
from stillwatch.review.attempts import HOURLY, NOTES_A_MINUTE
from stillwatch.review.settings import Settings
from stillwatch.store import StoreError, audit
from stillwatch.store.database import Store, open_store
from stillwatch.store.loading import load
from stillwatch.store.sessions import open_session
from stillwatch.store.tables import sessions, users
from stillwatch.store.users import LONGEST, Role, add_user, change_password, check_password, knows
from tests.review.results import accounts, campaign, write_result
from tests.review.serving import NOW, PASSWORD, Visitor, add_person, served

SOURCE = Path(stillwatch.__file__).parent
HTMX = "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"
"""SHA-256 of the vendored script."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(str(tmp_path / "review.db"))
    yield opened
    opened.close()


@pytest.fixture
def address(store: Store, tmp_path: Path) -> Iterator[str]:
    found = [campaign("c-1", ["f-1"], accounts("a", 3))]
    load(store, write_result(tmp_path / "result", found), "root", Policy(), NOW)
    for role in Role:
        add_person(store, f"one-{role}", role)
    with served(store) as there:
        yield there


@pytest.mark.parametrize(
    "leaked", ["1qaz2wsx3edc", "qwerty123456", "PasswordPassword", "letmeinletmein", "leavemealone", "P@ssw0rd1234"]
)  # fmt: skip
def test_a_password_that_was_leaked_before_is_refused(leaked: str) -> None:
    with pytest.raises(StoreError, match="soon guessed"):
        check_password("ann", leaked)


def test_a_password_may_hold_anything_is_kept_whole_and_does_not_age(store: Store) -> None:
    for number, new in enumerate((f"Ein süßer {chr(0x1F98A)} schläft  nie", "z" + "k2 ü-" * 25 + "!q")):
        given = add_user(store, f"user-{number}", Role.VIEWER, "root", NOW)
        change_password(store, f"user-{number}", given, new, NOW)
        assert knows(store, f"user-{number}", new, NOW + dt.timedelta(days=4000))
        for other in (new[:-1], new + " ", new.replace("  ", " ") + "x", new.lower() + "?"):
            assert not knows(store, f"user-{number}", other, NOW)
    with pytest.raises(StoreError, match=f"12 to {LONGEST} characters"):
        check_password("ann", "long enough, and so " * 7)
    check_password("ann", "four words say nothing together")


def test_a_password_is_kept_salted_by_a_slow_function_and_a_session_by_its_hash(store: Store) -> None:
    kept = []
    for name in ("ann", "bob"):
        change_password(store, name, add_user(store, name, Role.VIEWER, "root", NOW), PASSWORD, NOW)
        with store.reading() as connection:
            kept.append(
                connection.execute(sa.select(users.c.password).where(users.c.name == name)).scalar_one()
            )
    (_, salt, digest), (_, other, another) = (one.split("$") for one in kept)
    assert salt != other
    assert digest != another
    by_hand = hashlib.scrypt(
        PASSWORD.encode(), salt=base64.b64decode(salt), n=2**15, r=8, p=3, maxmem=2**27, dklen=32
    )
    assert base64.b64decode(digest) == by_hand
    tokens = {open_session(store, "ann", NOW) for _ in range(8)}
    assert len(tokens) == 8
    assert min(len(base64.urlsafe_b64decode(token + "=")) for token in tokens) == 32
    with store.reading() as connection:
        held = set(connection.execute(sa.select(sessions.c.digest)).scalars())
    assert held == {hashlib.sha256(token.encode()).hexdigest() for token in tokens}


def test_every_time_is_told_in_utc(address: str) -> None:
    root = Visitor(address, "one-admin")
    for path, name, key in (
        ("/audit", "entries", "at"),
        ("/scans", "scans", "loaded_at"),
        ("/users", "users", "made_at"),
    ):
        times = [dt.datetime.fromisoformat(one[key]) for one in root.get(f"{path}.json").json()[name]]
        assert times
        assert {at.utcoffset() for at in times} == {dt.timedelta(0)}, path


def test_a_form_of_a_password_lets_a_browser_fill_it_in(address: str) -> None:
    page = Visitor(address).get("/login").text
    assert 'autocomplete="current-password"' in page
    assert "onpaste" not in page
    page = Visitor(address, "one-viewer").get("/password").text
    assert page.count('autocomplete="new-password"') == 2


def test_attempts_on_one_user_are_bounded_by_the_hour_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_person(store, "ann", Role.ANALYST)
    began = time.time()
    with served(store, Settings(logins_a_minute=1)) as there:
        statuses = []
        for minute in range(HOURLY + 1):
            monkeypatch.setattr("limits.storage.memory.time.time", lambda at=began + 61 * minute: at)
            statuses.append(Visitor(there).log_in("ann", "wrong guess").status_code)
    assert statuses == [401] * HOURLY + [429]


def test_users_see_and_end_their_sessions_and_what_became_of_their_log_in(store: Store, address: str) -> None:
    here, there = Visitor(address, "one-analyst"), Visitor(address, "one-analyst")
    Visitor(address).log_in("one-analyst", "not the password")
    told = here.get("/session.json").json()
    assert [one["own"] for one in told["sessions"]].count(True) == 1
    assert len(told["sessions"]) == 2
    assert [one["kind"] for one in told["changes"]][:3] == [
        "session.refused",
        "session.opened",
        "session.opened",
    ]
    page = here.get("/session").text
    assert "/session/others" in page
    assert here.post("/session/others", password="not the password").status_code == 400
    assert there.get("/session.json").status_code == 200
    assert here.post("/session/others.json", password=PASSWORD).json() == {"closed": 1}
    assert there.get("/session.json").status_code == 401
    assert len(here.get("/session.json").json()["sessions"]) == 1
    assert "/session/others" not in here.get("/session").text
    assert [json.loads(one.details) for one in audit.entries(store, kind="session.closed")] == [{"others": 1}]


def test_refused_access_is_in_the_log_without_what_was_asked_for_and_cannot_fill_it(
    store: Store, address: str
) -> None:
    vic = Visitor(address, "one-viewer")
    for _ in range(30):
        assert vic.post("/cases/c-secret/take").status_code == 403
    logged = list(audit.entries(store, kind="access.refused"))
    assert len(logged) == NOTES_A_MINUTE
    assert (logged[0].actor, logged[0].subject) == ("one-viewer", "user one-viewer")
    assert json.loads(logged[0].details) == {
        "route": "/cases/{name}/take", "takes": "analyst", "has": "viewer"
    }  # fmt: skip


def test_what_a_form_does_not_have_is_not_taken_and_what_it_has_is_read_once(address: str) -> None:
    ann = Visitor(address, "one-analyst")
    seen = ann.get("/cases/c-1/preview.json", action="suspend").json()["version"]
    asked = {"version": seen, "action": "suspend", "reason": "one hand", "state": "standing"}
    asked |= {
        "approved_by": "one-approver",
        "asked_by": "one-admin",
        "principals": "1",
        "until": "2099-01-01",
    }
    ann.post("/cases/c-1/decide", **asked)
    made = ann.get("/decisions/1.json").json()
    assert (made["asked_by"], made["approved_by"], made["principals"]) == ("one-analyst", None, 3)
    assert made["until"] is None or made["until"] < "2099"
    twice = ann.get("/cases.json?order=age&order=size").json()
    assert twice["order"] == "size"
    assert ann.get("/cases.json?order=size&order=nothing").status_code == 422


def test_nothing_but_the_files_of_the_pages_is_served(address: str) -> None:
    ann = Visitor(address, "one-viewer")
    for path in (
        "/static/../settings.py", "/static/%2e%2e/settings.py", "/static/..%2fsettings.py", "/static/", "/static",
        "/static/%2e%2e/%2e%2e/evidence.json", "/.git/config", "/review.db",
    ):  # fmt: skip
        assert ann.get(path).status_code in {307, 400, 404}, path
        assert "class Settings" not in ann.client.get(path, follow_redirects=True).text
    assert {ann.client.request("OPTIONS", "/cases").status_code, ann.client.request("TRACE", "/cases").status_code} == {
        405
    }  # fmt: skip


def test_scripts_are_ours_keep_nothing_in_the_browser_and_a_log_out_leaves_nothing(address: str) -> None:
    static = SOURCE / "review" / "static"
    own = "".join(path.read_text("utf-8") for path in static.glob("*.js") if "htmx" not in path.name)
    for word in ("localStorage", "sessionStorage", "indexedDB", "document.cookie", "eval(", "innerHTML"):
        assert word not in own, word
    vendored = (static / "htmx.min.js").read_bytes()
    assert hashlib.sha256(vendored).hexdigest() == HTMX, "the vendored file is not the one that was read"
    ann = Visitor(address, "one-viewer")
    left = ann.post("/logout").headers.get_list("set-cookie")
    assert any(one.startswith('stillwatch=""') and "Max-Age=0" in one for one in left)
    page = Visitor(address).get("/login").text
    assert '"allowEval": false' in page
    assert '"historyCacheSize": 0' in page


def test_no_page_runs_a_program_or_unpacks_an_object() -> None:
    """Of what can be told from the source: review, store and response import neither."""
    bad = {"subprocess", "pickle", "marshal", "shelve", "xml", "lxml", "yaml", "ctypes"}
    for folder in ("review", "store", "response"):
        for path in (SOURCE / folder).rglob("*.py"):
            tree = ast.parse(path.read_text("utf-8"))
            names = {
                name.partition(".")[0]
                for node in ast.walk(tree)
                if isinstance(node, (ast.Import, ast.ImportFrom))
                for name in (
                    [one.name for one in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                )
            }
            calls = {
                node.func.id
                for node in ast.walk(tree)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            }
            assert not names & bad, path
            assert not calls & {"eval", "exec", "compile", "__import__"}, path

"""Who may use which page, and what protects them, over HTTP."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute

from stillwatch.review.access import needed_role
from stillwatch.review.application import ROUTERS, create_app
from stillwatch.review.protection import POLICY
from stillwatch.review.settings import Settings
from stillwatch.store import audit
from stillwatch.store.database import Store, open_store
from stillwatch.store.sessions import IDLE, LONGEST, find_session, open_session
from stillwatch.store.users import (
    Role,
    add_first,
    add_user,
    all_users,
    change_password,
    knows,
    set_disabled,
)
from tests.review.serving import NOW, PASSWORD, Visitor, add_person, served

ROUTES = [
    (method, route)
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in sorted(route.methods)
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """On SQLite alone: what the store does is tested on both."""
    opened = open_store(str(tmp_path / "review.db"))
    yield opened
    opened.close()


@pytest.fixture
def address(store: Store) -> Iterator[str]:
    for role in Role:
        add_person(store, f"one-{role}", role)
    with served(store) as found:
        yield found


def test_every_route_is_checked_for_every_role(address: str) -> None:
    """Found from the application's own routes, so that a new one cannot be forgotten."""
    people = {role: Visitor(address, f"one-{role}") for role in Role}
    nobody = Visitor(address)
    assert len(ROUTES) >= 10
    for method, route in ROUTES:
        needed = needed_role(route)
        path = route.path.replace("{", "").replace("}", "")
        if needed is None or path == "/logout":
            continue
        asked = nobody.client.request(method, path + ".json")
        assert asked.status_code == 401, (method, path)
        shown = nobody.client.request(method, path)
        assert (shown.status_code, shown.headers["location"].startswith("/login")) == (303, True), path
        for role, person in people.items():
            data = {"csrf": person.csrf} if method == "POST" else None
            status = person.client.request(method, path + ".json", data=data).status_code
            if role.covers(needed):
                assert status not in {401, 403}, (method, path, role)
            else:
                assert status == 403, (method, path, role)


def test_every_form_takes_the_token_of_its_session(address: str) -> None:
    admin = Visitor(address, "one-admin")
    other = Visitor(address, "one-analyst")
    for method, route in ROUTES:
        if method == "GET" or needed_role(route) is None:
            continue
        path = route.path.replace("{", "").replace("}", "") + ".json"
        for data in ({}, {"csrf": "guessed"}, {"csrf": other.csrf}):
            shown = admin.client.request(method, path, data=data)
            assert (shown.status_code, "old or not ours" in shown.text) == (403, True), path


def test_a_route_that_does_not_say_who_may_use_it_keeps_the_server_from_starting(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastapi import APIRouter

    forgotten = APIRouter()
    forgotten.add_api_route("/forgotten", lambda: "open", methods=["GET"])
    monkeypatch.setattr("stillwatch.review.application.ROUTERS", (*ROUTERS, forgotten))
    with pytest.raises(LookupError, match="/forgotten says neither"):
        create_app(store)


def test_every_answer_is_protected(address: str) -> None:
    admin = Visitor(address, "one-admin")
    for path in ("/users", "/users.json", "/login", "/nowhere", "/static/htmx.min.js", "/static/none"):
        shown = admin.get(path)
        assert shown.headers["content-security-policy"] == POLICY, path
        assert shown.headers["x-content-type-options"] == "nosniff"
        assert "server" not in shown.headers
        if not path.startswith("/static"):
            assert shown.headers["cache-control"] == "no-store"
    assert "unsafe" not in POLICY
    for path in ("/users", "/login", "/password"):
        page = admin.get(path).text
        assert " style=" not in page
        assert " onclick=" not in page
        assert "<style" not in page
        assert page.count("<script") == page.count('<script src="/static/')


def test_a_page_of_a_stranger_reaches_nothing(address: str) -> None:
    admin = Visitor(address, "one-admin")
    data = {"csrf": admin.csrf, "name": "eve", "role": "admin"}
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        assert admin.client.post("/users", data=data, headers=headers).status_code == 403
    assert admin.client.get("/users", headers={"host": "evil.example"}).status_code == 400
    assert "eve" not in admin.get("/users.json").text
    own = {"origin": address, "sec-fetch-site": "same-origin"}
    assert admin.client.post("/users", data=data, headers=own).status_code == 200


def test_a_body_is_bounded_whatever_it_says_of_itself(address: str) -> None:
    admin = Visitor(address, "one-admin")
    shown = admin.post("/users", name="x" * 70_000, role="viewer")
    assert shown.status_code == 413
    chunks = (b"name=" if n == 0 else b"x" * 1000 for n in range(80))  # sent without a length
    head = {"content-type": "application/x-www-form-urlencoded", "x-csrf-token": admin.csrf}
    assert admin.client.post("/users", content=chunks, headers=head).status_code == 413


def test_a_session_lives_in_the_store_and_ends(store: Store, address: str) -> None:
    ann = Visitor(address, "one-analyst")
    token = ann.client.cookies["stillwatch"]
    opened = dt.datetime.now(dt.UTC)
    assert find_session(store, token, opened) is not None
    assert find_session(store, token, opened + IDLE) is None
    assert find_session(store, token, opened + IDLE - dt.timedelta(minutes=1)) is not None
    for minutes in range(29, 12 * 60, 29):
        assert find_session(store, token, opened + dt.timedelta(minutes=minutes)) is not None
    assert find_session(store, token, opened + LONGEST) is None
    assert ann.get("/session.json").json()["role"] == "analyst"
    copied = Visitor(address)
    copied.client.cookies.set("stillwatch", token)
    assert copied.get("/session.json").status_code == 200
    ann.post("/logout")
    assert copied.get("/session.json").status_code == 401
    again = Visitor(address, "one-analyst")
    set_disabled(store, "one-analyst", True, "one-admin", NOW)
    assert again.get("/session.json").status_code == 401
    assert Visitor(address).log_in("one-analyst", PASSWORD).status_code == 401


def test_the_cookie_of_a_session_is_out_of_reach(store: Store) -> None:
    add_person(store, "ann", Role.ANALYST)
    with served(store, Settings(behind_proxy=True)) as address:
        shown = Visitor(address)
        page = shown.client.get("/login")
        assert page.headers["strict-transport-security"] == "max-age=31536000"
        token = page.headers["set-cookie"].split("=", 1)[1].split(";")[0]
        data = {"name": "ann", "password": PASSWORD, "form_token": token}
        answer = httpx.post(
            f"{address}/login", data=data, headers={"cookie": f"stillwatch-form={token}"}
        )  # a browser would send the cookie over TLS alone
        cookie = next(one for one in answer.headers.get_list("set-cookie") if "__Host-stillwatch" in one)
        assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= {
            part.strip() for part in cookie.split(";")
        }


def test_attempts_to_log_in_are_bounded_and_logged(store: Store) -> None:
    add_person(store, "ann", Role.ANALYST)
    with served(store, Settings(logins_a_minute=3)) as address:
        guess = Visitor(address)
        statuses = [guess.log_in("ann", f"wrong guess number {n}").status_code for n in range(4)]
        assert statuses == [401, 401, 401, 429]
        assert guess.log_in("ann", PASSWORD).status_code == 429
    kinds = [(one.kind, one.subject) for one in audit.entries(store)]
    assert kinds.count(("session.refused", "user ann")) == 3


def test_a_password_typed_as_a_name_is_not_kept(store: Store, address: str) -> None:
    Visitor(address).log_in("my secret passphrase", "ann")
    assert not any("secret passphrase" in f"{one}" for one in audit.entries(store))


def test_logging_in_leads_to_a_page_of_ours_alone(address: str) -> None:
    for bad in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
        assert Visitor(address).log_in("one-viewer", PASSWORD, next=bad).headers["location"] == "/cases"
    shown = Visitor(address).log_in("one-viewer", PASSWORD, next="/cases?order=age")
    assert shown.headers["location"] == "/cases?order=age"


def test_a_one_time_password_takes_one_to_set_another(store: Store) -> None:
    given = add_first(store, "admin", NOW)
    assert given is not None
    assert add_first(store, "admin", NOW) is None
    assert not knows(store, "admin", given, NOW + dt.timedelta(days=4))
    with served(store) as address:
        admin = Visitor(address)
        assert admin.log_in("admin", given).status_code == 303
        assert admin.get("/users").headers["location"] == "/password"
        page = admin.get("/password").text
        admin.csrf = page.split('name="csrf" value="')[1].split('"')[0]
        for wrong, why in (
            ("short", "12 to 128 characters"),
            ("the admin of it all", "holds the user&#39;s name"),
            ("aaaaaaaaaaaaaaaa", "repeats a few characters"),
            (given, "is the present one"),
        ):
            shown = admin.post("/password", old=given, new=wrong, again=wrong)
            assert (shown.status_code, why in shown.text) == (400, True), wrong
        assert (
            "present password is not that"
            in admin.post("/password", old="not the present one", new=PASSWORD, again=PASSWORD).text
        )
        assert "differ" in admin.post("/password", old=given, new=PASSWORD, again="x" * 20).text
        assert admin.post("/password", old=given, new=PASSWORD, again=PASSWORD).status_code == 303
        assert admin.get("/users").status_code == 200
        assert not knows(store, "admin", given, NOW)


def test_a_new_password_closes_the_other_sessions(store: Store, address: str) -> None:
    given = add_user(store, "gus", Role.VIEWER, "one-admin", dt.datetime.now(dt.UTC))
    change_password(store, "gus", given, PASSWORD, dt.datetime.now(dt.UTC))
    here, there = Visitor(address, "gus"), Visitor(address, "gus")
    before = here.client.cookies["stillwatch"]
    new = "four words say nothing together"
    assert here.post("/password", old=PASSWORD, new=new, again=new).status_code == 303
    assert here.get("/session.json").status_code == 200
    assert here.client.cookies["stillwatch"] != before
    assert there.get("/session.json").status_code == 401


def test_the_last_admin_stays(store: Store, address: str) -> None:
    admin = Visitor(address, "one-admin")
    shown = admin.post("/users/role", name="one-admin", role="viewer")
    assert (shown.status_code, "is the only admin" in shown.text) == (409, True)
    assert admin.post("/users/disabled", name="one-admin", disabled="true").status_code == 409
    assert admin.post("/users/password", name="one-admin").status_code == 409
    given = admin.post("/users.json", name="second", role="admin").json()["given"]["password"]
    assert len(given) >= 20
    # A password that was handed out may never be used; who has one is no reason to let the last admin go.
    assert admin.post("/users/role", name="one-admin", role="viewer").status_code == 409
    change_password(store, "second", given, PASSWORD, NOW)
    assert admin.post("/users/role", name="one-admin", role="viewer").status_code == 303
    assert admin.get("/users.json").status_code == 401  # logged in anew, with the new role


def test_another_role_of_somebody_else_takes_no_second_admin(address: str) -> None:
    admin = Visitor(address, "one-admin")
    assert admin.post("/users/disabled", name="one-admin", disabled="true").status_code == 409
    assert admin.post("/users/role", name="one-viewer", role="analyst").status_code == 303
    assert admin.post("/users/disabled", name="one-viewer", disabled="true").status_code == 303


def test_admins_who_take_each_others_role_at_once_leave_one(store: Store) -> None:
    names = [f"admin-{number}" for number in range(8)]
    for name in names:
        add_person(store, name, Role.ADMIN)
    with served(store) as address:
        people = [Visitor(address, token=open_session(store, name, NOW)) for name in names]
        start = threading.Barrier(len(names))

        def turn_on_the_next(number: int) -> int:
            start.wait(timeout=60)
            other = names[(number + 1) % len(names)]
            if number % 2:
                return people[number].post("/users/disabled", name=other, disabled="true").status_code
            return people[number].post("/users/role", name=other, role="viewer").status_code

        with ThreadPoolExecutor(len(names)) as pool:
            statuses = list(pool.map(turn_on_the_next, range(len(names))))
    left = [one for one in all_users(store) if one["role"] == "admin" and one["disabled_at"] is None]
    assert len(left) >= 1
    assert set(statuses) <= {303, 401, 403, 409}
    assert statuses.count(303) == len(names) - len(left)


def test_a_first_password_that_ran_out_is_given_anew_at_the_next_start(store: Store) -> None:
    assert add_first(store, "admin", NOW) is not None
    later = NOW + dt.timedelta(days=4)
    given = add_first(store, "admin", later)
    assert given is not None
    assert knows(store, "admin", given, later)
    change_password(store, "admin", given, PASSWORD, later)
    assert add_first(store, "admin", later + dt.timedelta(days=40)) is None


def test_no_password_and_no_token_is_in_the_store_or_its_log(store: Store, address: str) -> None:
    password = add_user(store, "eve", Role.VIEWER, "one-admin", NOW)
    token = open_session(store, "eve", NOW)
    import sqlalchemy as sa

    with store.reading() as connection:
        for table in ("users", "sessions", "audit"):
            rows = f"{connection.execute(sa.text(f'SELECT * FROM {table}')).all()}"
            assert password not in rows
            assert token not in rows
            assert PASSWORD not in rows
    assert address

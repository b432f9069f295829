"""The pages behind a real server on loopback, and people who use them."""

from __future__ import annotations

import datetime as dt
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import httpx

from stillwatch.review.serving import server_of
from stillwatch.review.settings import Settings
from stillwatch.store.database import Store
from stillwatch.store.tables import users
from stillwatch.store.users import Role, _sealed, add_user

NOW = dt.datetime.now(dt.UTC)
PASSWORD = "seven quiet herons"
CSRF = re.compile(r'name="csrf" value="([^"]+)"')
FORM = re.compile(r'name="form_token" value="([^"]+)"')


@contextmanager
def served(store: Store, settings: Settings | None = None, port: int = 0) -> Iterator[str]:
    """The address of a server over the store, which is gone at the end of the block."""
    if not port:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    server = server_of(store, settings or Settings(logins_a_minute=10_000), "127.0.0.1", port)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=20)


@cache
def _sealed_once() -> str:
    return _sealed(PASSWORD)


def add_person(store: Store, name: str, role: Role) -> None:
    """A user with a password of their own; of many the same one, since to seal each takes a while."""
    add_user(store, name, role, "the test", NOW, outside=True)
    with store.writing() as connection:
        values = {"password": _sealed_once(), "one_time": False}
        connection.execute(users.update().where(users.c.name == name).values(values))


class Visitor:
    """A browser without a screen: keeps its cookies, sends the token of its forms."""

    def __init__(
        self, address: str, name: str | None = None, password: str = PASSWORD, token: str | None = None
    ) -> None:
        # Given up before the server does, which closes what is idle for five seconds: never both at one moment.
        kept = httpx.Limits(keepalive_expiry=2)
        self.client = httpx.Client(base_url=address, timeout=60, limits=kept)
        self.csrf = ""
        if token is not None:  # of a session that the store opened
            self.client.cookies.set("stillwatch", token)
            self.csrf = self.client.get("/session.json").json()["csrf"]
        if name is not None:
            shown = self.log_in(name, password)
            assert shown.status_code == 303, shown.text
            self.csrf = self.client.get("/session.json").json().get("csrf", "")

    def log_in(self, name: str, password: str, **more: str) -> httpx.Response:
        page = self.client.get("/login").text
        token = FORM.search(page)
        assert token is not None
        data = {"name": name, "password": password, "form_token": token[1], **more}
        return self.client.post("/login", data=data)

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.client.get(path, params=params or None)

    def post(self, path: str, **data: Any) -> httpx.Response:
        return self.client.post(path, data={"csrf": self.csrf, **data})

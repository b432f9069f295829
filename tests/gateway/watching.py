"""A real `stillwatch watch` over a real store, and the decisions that tests make in it."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillwatch.keys import Keys
from stillwatch.live.matching import fragments_of
from stillwatch.live.tokens import May, add
from stillwatch.response.actions import Action, Finding, Scope
from stillwatch.response.decision import Wanted
from stillwatch.response.policy import Policy
from stillwatch.response.template import Template
from stillwatch.store import decisions
from stillwatch.store.database import Store, open_store
from stillwatch.store.loading import load
from tests.review.results import campaign, write_result
from tests.scans import SOURCES, TEST_KEY

KEYS = Keys(local=TEST_KEY)
POLICY = Policy(principals=100, innocent=100.0, spread=dt.timedelta(0))
TEMPLATE = (
    "You are an expert data analyst. Deliver data-driven insights, not summaries or visualizations, grounded in real "
    "data and supported by complete and transparent reasoning."
)
FAMILY = "f-00000000000000aa"
PEOPLE = [("acct-1", None), ("acct-2", None), ("acct-3", None), ("reseller", "customer-7")]
START_S = 240
FOLLOWS_S = 60
LOOKS_S = 0.1


def chat(text: str, system: str | None = None, **more: Any) -> dict[str, Any]:
    opening = [{"role": "system", "content": system}] if system else []
    return {"model": "large", "messages": [*opening, {"role": "user", "content": text}], **more}


def template() -> Template:
    # As a system prompt, and in the text of a user.
    either = fragments_of(chat("-", TEMPLATE), KEYS) | fragments_of(chat(TEMPLATE), KEYS)
    fragments = either - fragments_of(chat("-"), KEYS)
    return Template(FAMILY, KEYS.name, 0.3 * len(fragments) * 1000, 2, dict.fromkeys(sorted(fragments), 1000))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Watch:
    """A service that runs, with its store."""

    folder: Path
    store: Store
    port: int
    token: str
    errors: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def decide(self, action: Action, account: str | None = None, *, waited: bool = True, **more: Any) -> int:
        """A decision that holds from now on, and that the service knows when this returns."""
        named = {"scope": Scope.PRINCIPAL, "account_id": account} if account else {}
        wanted = Wanted(
            **{
                "case_id": "c-1",
                "finding": Finding.EXTRACTION,
                "action": action,
                "reason": "one hand",
                **named,
                **more,
            }
        )
        number = decisions.decide(self.store, wanted, "ann", POLICY, dt.datetime.now(dt.UTC))
        if waited:
            self.wait_for(f"decision {number}")
        return number

    def undo(self, number: int) -> None:
        decisions.undo(self.store, number, "ann", "a class at a university", dt.datetime.now(dt.UTC))
        self.wait_for(f"decision {number}", there=False)

    def wait_for(self, reason: str, *, there: bool = True) -> None:
        """Wait until the service answers by a decision, or by it no longer."""
        if self.process is None:
            return
        deadline = time.monotonic() + FOLLOWS_S
        while time.monotonic() < deadline:
            answers = [
                self.ask(account_id=account, end_user_id=user, fingerprint=self._words(), model="large")
                for account, user in PEOPLE
            ]
            if there == any(reason in one["reason"] for told in answers for one in told["actions"]):
                return
            time.sleep(0.05)
        raise AssertionError(f"the service does not follow: {reason}, {there}")

    @staticmethod
    def _words() -> list[str]:
        return [f"{fragment % 2**64:016x}" for fragment in template().fragments]

    def send(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        given = {"authorization": f"Bearer {self.token}"} if headers is None else dict(headers)
        try:
            connection.request(method, path, body, given)
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            return response.status, told, response.read()
        finally:
            connection.close()

    def ask(self, **question: Any) -> dict[str, Any]:
        status, _, body = self.send("POST", "/v1/decision", json.dumps(question).encode())
        assert status == 200, body
        told: dict[str, Any] = json.loads(body)
        return told

    def start(self, *more: str) -> None:
        # It looks for new decisions every second, which would be most of the time that these tests take.
        program = (
            f"import sys; sys.argv[0] = 'stillwatch'; from stillwatch.live import following; following.EVERY_S = {LOOKS_S}; "
            "from stillwatch.cli import main; main()"
        )
        command = [
            sys.executable, "-c", program, "watch", "--store", str(self.folder / "review.db"),
            "--listen", f"127.0.0.1:{self.port}", "--tokens", str(self.folder / "tokens.json"),
            "--key", str(self.folder / "key"), *more,
        ]  # fmt: skip
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                command, env=os.environ | {"PYTHONPATH": str(SOURCES)}, stderr=errors, stdout=errors
            )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.send("GET", "/health/ready", headers={})[0] == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(self.errors.read_text()[-2000:])

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            assert self.process.wait(timeout=30) in {0, -15}
            self.process = None


@contextmanager
def watch(folder: Path, *more: str) -> Iterator[Watch]:
    """A service over a store with one case of four principals and one family."""
    (folder / "key").write_bytes(TEST_KEY)
    store = open_store(str(folder / "review.db"))
    found = [campaign("c-1", [FAMILY], PEOPLE)]
    result = write_result(folder / "result", found, templates=[template()])
    load(store, result, "ann", POLICY, dt.datetime.now(dt.UTC))
    token = add(folder / "tokens.json", "gateway", [May.DECIDE, May.METRICS, May.INGEST])
    running = Watch(folder, store, free_port(), token, folder / "errors.log")
    try:
        running.start(*more)
        yield running
    finally:
        running.stop()
        store.close()

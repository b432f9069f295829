"""Ask the service what to do with a request, and go on without an answer where it is away.

By default a request that finds no answer goes on (fail open); what went without is counted and told to the service once
it is back. After some failures in a row nothing is asked for a while, so that a service that hangs delays nobody.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import os
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

LOG = logging.getLogger("stillwatch.gateway")
FAILURES = 5
"""Failures in a row after which nothing is asked for :data:`PAUSE_S`."""
PAUSE_S = 2.0
TOLD_EVERY_S = 60.0
"""A service that is away is told of in the log no more often than this."""
LARGEST_ANSWER = 4 << 20
PREFIX = "STILLWATCH_"


class SettingError(Exception):
    """A setting that cannot be; the text names it and says what it may be."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a plug-in is told, by keyword or by an environment variable: ``STILLWATCH_URL`` for ``url``."""

    url: str = "http://127.0.0.1:8470"
    """Where `stillwatch watch` listens."""
    token: str = ""
    """A token that may decide, of `stillwatch token add`."""
    timeout_s: float = 0.25
    """How long one request waits for an answer, all in all."""
    fail_open: bool = True
    """Whether a request goes on that finds no answer; else it is refused with 503."""
    connections: int = 8
    """Questions at a time."""
    account_header: str = "x-stillwatch-account"
    """Header that names the account, for the middleware; what is in front must set it, whatever the customer sent."""
    end_user_header: str = "x-stillwatch-end-user"
    """Header that names the end user; without it the request's own field does."""
    body_bytes: int = 8 << 20
    """Largest body that is looked at, for the middleware."""

    @staticmethod
    def of(given: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Settings:
        """Settings by keyword, else by environment, else the defaults. Raises :class:`SettingError`."""
        environment = os.environ if environment is None else environment
        known = {field.name: field.default for field in fields(Settings)}
        if unknown := sorted(set(given) - set(known)):
            raise SettingError(f"there is no setting {', '.join(unknown)}; there are {', '.join(known)}")
        values: dict[str, Any] = {}
        for name, default in known.items():
            value = given.get(name, environment.get(PREFIX + name.upper()))
            values[name] = default if value is None else _typed(name, value, default)
        scheme = urllib.parse.urlsplit(values["url"]).scheme
        if scheme not in {"http", "https"}:
            raise SettingError(f"url begins with {scheme!r}; it must begin with http:// or https://")
        return Settings(**values)


def _typed(name: str, value: Any, default: Any) -> Any:
    if isinstance(default, bool):
        word = str(value).lower()
        if word not in {"true", "false", "1", "0"}:
            raise SettingError(f"{name} is {word!r}; it may be true or false")
        return word in {"true", "1"}
    try:
        return type(default)(value)
    except (TypeError, ValueError):
        raise SettingError(f"{name} must be a {type(default).__name__}") from None


@dataclass(frozen=True, slots=True)
class Answer:
    """What to do with one request."""

    allow: bool = True
    status: int = 200
    code: str = ""
    message: str = ""
    retry_after_s: int | None = None
    trace: str | None = None
    """None, ``strip`` or ``summarise``."""
    logprobs: int | None = None
    """Log-probabilities a token at most; None: as asked."""
    wants_request: bool = False
    answered: bool = True
    """False: the service was away, or not asked since it was."""

    @property
    def edits(self) -> bool:
        """Whether the reply is changed."""
        return self.trace is not None or self.logprobs is not None


AWAY = Answer(answered=False)
AWAY_CLOSED = Answer(
    False, 503, "service_unavailable", "this request cannot be served now; try again", 5, answered=False
)


class Asker:
    """Asks one service, over connections that are kept.

    Attributes:
        counts: ``asked``, ``refused``, and ``missed``: requests that found no answer.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.counts: Counter[str] = Counter()
        parts = urllib.parse.urlsplit(settings.url)
        self._host, self._port, self._secure = parts.hostname or "", parts.port, parts.scheme == "https"
        self._path = parts.path.rstrip("/") + "/v1/decision"
        self._headers = {"content-type": "application/json", "authorization": f"Bearer {settings.token}"}
        self._pool = ThreadPoolExecutor(settings.connections, thread_name_prefix="stillwatch")
        self._own = threading.local()
        self._lock = threading.Lock()
        self._in_a_row, self._not_before, self._told, self._untold = 0, 0.0, -TOLD_EVERY_S, 0

    async def ask(
        self, account_id: str, end_user_id: str | None, model: str | None, request: Mapping[str, Any] | None
    ) -> Answer:
        """What to do with a request; its text leaves this process only where the service asks for it."""
        self.counts["asked"] += 1
        if time.monotonic() < self._not_before:
            return self._missed()
        question = {"account_id": account_id, "end_user_id": end_user_id, "model": model}
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                answer = await loop.run_in_executor(self._pool, self._post, question)
                if answer.wants_request and request is not None:
                    answer = await loop.run_in_executor(
                        self._pool, self._post, {**question, "request": request}
                    )
        except (TimeoutError, OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            self._failed(error)
            return self._missed()
        self._in_a_row = 0
        if not answer.allow:
            self.counts["refused"] += 1
        return answer

    def _missed(self) -> Answer:
        with self._lock:
            self.counts["missed"] += 1
            self._untold += 1
        return AWAY if self.settings.fail_open else AWAY_CLOSED

    def _failed(self, error: Exception) -> None:
        now = time.monotonic()
        self._in_a_row += 1
        if self._in_a_row >= FAILURES:
            self._not_before = now + PAUSE_S
        if now - self._told >= TOLD_EVERY_S:
            self._told = now
            what = "goes on" if self.settings.fail_open else "is refused"
            LOG.warning(
                "stillwatch gives no answer (%s); every request %s without, %d so far",
                type(error).__name__, what, self.counts["missed"] + 1,
            )  # fmt: skip

    def _post(self, question: dict[str, Any]) -> Answer:
        with self._lock:
            untold, self._untold = self._untold, 0
        try:
            status, body = self._exchange(json.dumps({**question, "missed": untold}).encode())
            if status != 200:
                raise OSError(f"the service answered with status {status}")
            told = json.loads(body)
            names = [field.name for field in fields(Answer) if field.name != "answered"]
            return Answer(**{name: told[name] for name in names})
        except BaseException:
            with self._lock:
                self._untold += untold
            raise

    def _exchange(self, body: bytes) -> tuple[int, bytes]:
        """Send a body and return status and answer; a connection that was closed meanwhile is opened anew, once."""
        kept: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if kept is not None:
            try:
                return self._over(kept, body)
            except (http.client.RemoteDisconnected, http.client.CannotSendRequest, ConnectionError):
                kept.close()
            except BaseException:
                self._own.connection = None
                kept.close()
                raise
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        self._own.connection = fresh = kind(self._host, self._port, timeout=self.settings.timeout_s)
        try:
            return self._over(fresh, body)
        except BaseException:
            self._own.connection = None
            fresh.close()
            raise

    def _over(self, connection: http.client.HTTPConnection, body: bytes) -> tuple[int, bytes]:
        connection.request("POST", self._path, body, self._headers)
        with connection.getresponse() as response:
            return response.status, response.read(LARGEST_ANSWER)

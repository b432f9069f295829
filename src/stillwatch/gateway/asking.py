"""Ask the service what to do with a request, and go on without an answer where it is away.

By default a request that finds no answer goes on (fail open); what went without is counted and told to the service once
it is back. After some failures in a row nothing is asked for a while, so that a service that hangs delays nobody. Only a
question that no customer has a hand in tells whether the service is there: one that holds a request, and one that the
service does not take, say nothing of it.
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

from stillwatch.gateway import questions

LOG = logging.getLogger("stillwatch.gateway")
FAILURES = 5
"""Failures in a row after which nothing is asked for :data:`PAUSE_S`."""
PAUSE_S = 2.0
TOLD_EVERY_S = 60.0
"""A service that is away is told of in the log no more often than this."""
LARGEST_ANSWER = 4 << 20
NOT_TAKEN = frozenset({400, 413, 422})
"""Statuses of a service that is there and does not take this question."""
JUDGED = 4
"""A service that has just answered may take so many times as long to judge a request, of which customers choose the size."""
PREFIX = "STILLWATCH_"


class SettingError(Exception):
    """A setting that cannot be; the text names it and says what it may be."""


class NotTakenError(Exception):
    """The service is there and does not take this question."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a plug-in is told, by keyword or by an environment variable: ``STILLWATCH_URL`` for ``url``."""

    url: str = "http://127.0.0.1:8470"
    """Where `stillwatch watch` listens."""
    token: str = ""
    """A token that may decide, of `stillwatch token add`."""
    timeout_s: float = 0.25
    """How long one request waits for an answer; where its text decides, up to :data:`JUDGED` times as long for another."""
    fail_open: bool = True
    """Whether a request goes on that finds no answer; else it is refused with 503."""
    connections: int = 8
    """Questions at a time."""
    account_header: str = "x-stillwatch-account"
    """Header that names the account, for the middleware; what is in front must set it, whatever the customer sent."""
    end_user_header: str = "x-stillwatch-end-user"
    """Header that names the end user; without it the request's own field does."""
    more_paths: str = ""
    """Ends of more paths at which a model is asked for text, with spaces between, for the middleware."""
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
        counts: ``asked``, ``refused``, ``missed`` (requests that found no answer), ``cut`` (of which not all was told) and
            ``not_told`` (of which nothing was, since the service did not take it).
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.counts: Counter[str] = Counter()
        parts = urllib.parse.urlsplit(settings.url)
        self._host, self._port, self._secure = parts.hostname or "", parts.port, parts.scheme == "https"
        self._path = parts.path.rstrip("/") + "/v1/decision"
        self._headers = {"content-type": "application/json", "authorization": f"Bearer {settings.token}"}
        self._pool = ThreadPoolExecutor(settings.connections, thread_name_prefix="stillwatch")
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="stillwatch-writing")
        self._own = threading.local()
        self._lock = threading.Lock()
        self._in_a_row, self._not_before, self._told, self._untold = 0, 0.0, -TOLD_EVERY_S, 0

    async def ask(
        self,
        account_id: str,
        end_user_id: str | None,
        model: object,
        request: Mapping[str, Any],
        *,
        partial: bool = False,
    ) -> Answer:
        """What to do with a request; its text leaves this process only where the service asks for it.

        ``partial``: what is given of the request may not be all that the server behind reads.
        """
        self.counts["asked"] += 1
        if time.monotonic() < self._not_before:
            return self._missed()
        question = {
            "account_id": questions.name(account_id),
            "end_user_id": questions.name(end_user_id),
            "model": questions.name(model if isinstance(model, str) else None),
            "partial": partial,
        }
        there = False
        try:
            answer = await self._asked(question)
            self._in_a_row, there = 0, True
            if answer.wants_request:
                answer = await self._asked_with(question, request)
        except NotTakenError as error:
            self._warn(error)
            return self._missed()
        except (TimeoutError, OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            if not there:
                self._failed()
            self._warn(error)
            return self._missed()
        if not answer.allow:
            self.counts["refused"] += 1
        return answer

    def _missed(self) -> Answer:
        with self._lock:
            self.counts["missed"] += 1
            self._untold += 1
        return AWAY if self.settings.fail_open else AWAY_CLOSED

    def _failed(self) -> None:
        self._in_a_row += 1
        if self._in_a_row >= FAILURES:
            self._not_before = time.monotonic() + PAUSE_S

    def _warn(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self._told >= TOLD_EVERY_S:
            self._told = now
            what = "goes on" if self.settings.fail_open else "is refused"
            LOG.warning(
                "stillwatch gives no answer (%s); every request %s without, %d so far",
                type(error).__name__, what, self.counts["missed"] + 1,
            )  # fmt: skip

    async def _asked(self, question: Mapping[str, Any], request: bytes | None = None) -> Answer:
        loop, wait_s = (
            asyncio.get_running_loop(),
            self.settings.timeout_s * (1 if request is None else JUDGED),
        )
        async with asyncio.timeout(wait_s):
            return await loop.run_in_executor(self._pool, self._post, question, request or b"null", wait_s)

    async def _asked_with(self, question: Mapping[str, Any], request: Mapping[str, Any]) -> Answer:
        """Ask with the request; where that is not taken, without its text, so that what holds for the account holds."""
        # However long it takes to write a request down, it gets an answer, and nobody else's question waits for it.
        loop = asyncio.get_running_loop()
        told, cut = await loop.run_in_executor(self._writing, questions.told, request)
        if cut:
            self.counts["cut"] += 1
        try:
            return await self._asked({**question, "cut": cut}, told)
        except NotTakenError:
            self.counts["not_told"] += 1
            return await self._asked(question, b"{}")

    def _post(self, question: Mapping[str, Any], request: bytes, wait_s: float) -> Answer:
        with self._lock:
            untold, self._untold = self._untold, 0
        try:
            asked = json.dumps({**question, "missed": untold}, ensure_ascii=False).encode()
            status, body = self._exchange(b'%b,"request":%b}' % (asked[:-1], request), wait_s)
            if status in NOT_TAKEN:
                raise NotTakenError
            if status != 200:
                raise OSError(f"the service answered with status {status}")
            told = json.loads(body)
            names = [field.name for field in fields(Answer) if field.name != "answered"]
            return Answer(**{name: told[name] for name in names})
        except BaseException:
            with self._lock:
                self._untold += untold
            raise

    def _exchange(self, body: bytes, wait_s: float) -> tuple[int, bytes]:
        """Send a body and return status and answer; a connection that was closed meanwhile is opened anew, once."""
        kept: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if kept is not None:
            try:
                return self._over(kept, body, wait_s)
            except (http.client.RemoteDisconnected, http.client.CannotSendRequest, ConnectionError):
                kept.close()
            except BaseException:
                self._own.connection = None
                kept.close()
                raise
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        self._own.connection = fresh = kind(self._host, self._port)
        try:
            return self._over(fresh, body, wait_s)
        except BaseException:
            self._own.connection = None
            fresh.close()
            raise

    def _over(self, connection: http.client.HTTPConnection, body: bytes, wait_s: float) -> tuple[int, bytes]:
        connection.timeout = wait_s
        if connection.sock is not None:
            connection.sock.settimeout(wait_s)
        connection.request("POST", self._path, body, self._headers)
        with connection.getresponse() as response:
            return response.status, response.read(LARGEST_ANSWER)

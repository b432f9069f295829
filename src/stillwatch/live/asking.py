"""What gateways ask, each in its own words, and one way to answer them all."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from anyio import to_thread

from stillwatch.live.deciding import Decision
from stillwatch.live.matching import RequestError, fragments_of
from stillwatch.response.actions import Action
from stillwatch.response.template import signed

if TYPE_CHECKING:
    from stillwatch.keys import Keys
    from stillwatch.live.following import Following
    from stillwatch.live.metrics import Metrics

MOST_FRAGMENTS = 100_000
AT_ONCE_BYTES = 8 << 10
"""Size of a question up to which the fragments of its request are made where it is answered: to hand it to a thread would
take longer."""
_FRAGMENT = re.compile(r"[0-9a-f]{16}")
EDITS = frozenset({Action.HIDE_REASONING, Action.CAP_LOGPROBS})
"""Actions that change a reply, which some gateways cannot."""
Names = Mapping[str, tuple[str, str | None]]
"""From what a gateway calls an account to the account and its end user, where a mapping of identities was given."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """``POST /v1/decision``."""

    account_id: str
    end_user_id: str | None = None
    model: str | None = None
    request: dict[str, Any] | None = None
    """The body of the request, where an action holds for some requests only."""
    fingerprint: list[str] | None = None
    """Or its fragments, sixteen hexadecimal digits each."""
    partial: bool = False
    """Whether whoever serves the request reads more of it than whoever asks could."""
    cut: bool = False
    """Whether ``request`` is not all of it, since it would be too much to tell."""
    missed: int = 0
    """Requests that went without an answer since the last question."""


class Asking:
    """Answers questions from what :class:`Following` knows."""

    def __init__(
        self, following: Following, keys: Keys, metrics: Metrics, names: Names | None = None
    ) -> None:
        self._following, self._keys, self._metrics, self._names = following, keys, metrics, names or {}

    async def answer(
        self,
        question: Question,
        interface: str,
        unable: frozenset[Action] = frozenset(),
        *,
        size: int,
        once: bool = False,
    ) -> Decision:
        """Answer one question of so many bytes. ``unable``: actions that whoever asks cannot take; they are counted.
        ``once``: it cannot ask again with the request.

        Raises ``ValueError`` for a fingerprint that is none.
        """
        account, end_user = self._names.get(question.account_id, (question.account_id, None))
        end_user = end_user or question.end_user_id
        now = dt.datetime.now(dt.UTC)
        deciding = self._following.deciding
        decision = deciding.decide(account, end_user, question.model, now, _told(question))
        if question.partial:
            decision = deciding.of_partial(decision, account, end_user, now)
        if decision.wants_request and (question.request is not None or once):
            fragments = await self._fragments(question.request, size)
            if question.cut:
                self._metrics.cut.inc()
            decision = deciding.decide(account, end_user, question.model, now, fragments)
        self._count(decision, interface, unable)
        if question.missed > 0:
            self._metrics.missed.inc(question.missed)
        return decision

    async def _fragments(self, request: Mapping[str, Any] | None, size: int) -> frozenset[int]:
        try:
            if request is not None and size <= AT_ONCE_BYTES:
                return fragments_of(request, self._keys)
            if request is not None:
                return await to_thread.run_sync(fragments_of, request, self._keys)
        except RequestError:
            pass
        self._metrics.unmatched.inc()
        return frozenset()

    def concerns(self, account_id: str) -> bool:
        """Whether any action names an account, so that its request must be looked at."""
        account, _ = self._names.get(account_id, (account_id, None))
        return account in self._following.deciding.held.accounts

    def _count(self, decision: Decision, interface: str, unable: frozenset[Action]) -> None:
        outcome = "wants_request" if decision.wants_request else decision.code or "goes_on"
        self._metrics.decisions.labels(interface, outcome).inc()
        if decision.wants_request:
            return
        for one in {held.action for held in decision.actions}:
            self._metrics.actions.labels(str(one)).inc()
        if decision.allowed:
            for one in {held.action for held in decision.actions} & unable | set(decision.unenforced):
                self._metrics.unenforced.labels(str(one)).inc()


def _told(question: Question) -> list[int] | None:
    if question.fingerprint is None:
        return None
    if len(question.fingerprint) > MOST_FRAGMENTS:
        raise ValueError(f"a fingerprint has at most {MOST_FRAGMENTS:,} fragments")
    if not all(_FRAGMENT.fullmatch(word) for word in question.fingerprint):
        raise ValueError("a fragment is sixteen hexadecimal digits")
    return [signed(int(word, 16)) for word in question.fingerprint]

"""A guardrail of LiteLLM's proxy, by its import path in config.yaml::

    guardrails:
      - guardrail_name: stillwatch
        litellm_params:
          guardrail: stillwatch.gateway.litellm.Stillwatch
          mode: [pre_call, post_call]
          default_on: true

The settings are those of :class:`stillwatch.gateway.asking.Settings`, from the environment. The account is what the log
names: the hash of the key, else its user, else its team. Runs inside LiteLLM's own environment and imports its base class.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from fastapi import HTTPException
from litellm.integrations.custom_guardrail import CustomGuardrail

from stillwatch.gateway.asking import Answer, Asker, Settings
from stillwatch.gateway.refusals import error_body, error_headers
from stillwatch.gateway.replies import cap_request, edit
from stillwatch.gateway.streams import Stream

LOG = logging.getLogger("stillwatch.gateway")
CALL = "litellm_logging_obj"
"""Field of a request under which the proxy keeps its own object of the call, whatever a customer sent there."""


class Stillwatch(CustomGuardrail):  # type: ignore[misc]  # its types are LiteLLM's
    """Asks before the call, and changes the reply after it."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.asker = Asker(Settings.of({}))
        # By the proxy's own object of a call, which lives as long: customers choose the id of a call, and may give it twice.
        self._waiting: WeakKeyDictionary[Any, Answer] = WeakKeyDictionary()

    async def async_pre_call_hook(
        self,
        user_api_key_dict: Any,
        cache: Any,  # noqa: ARG002 - the base class's signature
        data: dict[str, Any],
        call_type: str,  # noqa: ARG002 - the base class's signature
    ) -> dict[str, Any]:
        """Ask what to do with a request; refuse it, or have its reply changed."""
        account = user_api_key_dict.api_key or user_api_key_dict.user_id or user_api_key_dict.team_id
        if not account:
            self.asker.counts["unnamed"] += 1
            return data
        answer = await self.asker.ask(account, _end_user(user_api_key_dict, data), data.get("model"), data)
        if not answer.allow:
            detail = error_body("", answer.status, answer.code, answer.message)["error"]
            raise HTTPException(answer.status, detail, error_headers(answer))
        if answer.edits:
            if answer.logprobs is not None:
                cap_request(data, answer.logprobs)
            self._wait(data, answer)
        return data

    async def async_post_call_success_hook(
        self,
        data: dict[str, Any],
        user_api_key_dict: Any,  # noqa: ARG002 - the base class's signature
        response: Any,
    ) -> Any:
        """Change a whole reply."""
        answer = self._waited(data)
        if answer is None:
            return response
        return self._changed(response, partial(edit, trace=answer.trace, logprobs=answer.logprobs))

    async def async_post_call_streaming_iterator_hook(
        self,
        user_api_key_dict: Any,  # noqa: ARG002 - the base class's signature
        response: AsyncIterator[Any],
        request_data: dict[str, Any],
    ) -> AsyncIterator[Any]:
        """Change a reply as it streams by."""
        answer = self._waited(request_data)
        if answer is None:
            async for piece in response:
                yield piece
            return
        stream = Stream(answer.trace, answer.logprobs)
        async for piece in response:
            if isinstance(piece, bytes | str):  # of Anthropic's interface: the stream itself
                out = stream.feed(piece.encode() if isinstance(piece, str) else piece)
                if out:
                    yield out
                continue
            changed = self._changed(piece, stream.edit)
            if changed is not None:
                yield changed
        if rest := stream.end():
            yield rest

    def _wait(self, data: dict[str, Any], answer: Answer) -> None:
        call = _call(data)
        if call is None:
            self._unchanged("a call without its object")
        else:
            self._waiting[call] = answer

    def _waited(self, data: dict[str, Any]) -> Answer | None:
        call = _call(data)
        return None if call is None else self._waiting.get(call)

    def _unchanged(self, what: str) -> None:
        """A reply that cannot be changed goes on, or not, as one without an answer."""
        self.asker.counts["unchanged"] += 1
        LOG.warning("%s: its reply could not be changed", what)
        if not self.asker.settings.fail_open:
            raise HTTPException(503, "this request cannot be served now")

    def _changed(self, response: Any, change: Callable[[dict[str, Any]], bool]) -> Any:
        """A reply, or a piece of one, after ``change``; None where nothing of it is left.

        One of LiteLLM's own classes is made anew.
        """
        if isinstance(response, dict):
            return response if change(response) else None
        try:
            told = response.model_dump()
            left = change(told)
            made = type(response)(**told)
            if hasattr(response, "_hidden_params"):
                made._hidden_params = response._hidden_params
        except Exception as error:
            self._unchanged(f"{type(response).__name__}, {type(error).__name__}")
            return response
        return made if left else None


def _call(data: dict[str, Any]) -> Any:
    """The proxy's object of a call; None where there is none, or what a customer wrote in its place."""
    call = data.get(CALL)
    return call if hasattr(call, "__weakref__") else None


def _end_user(user_api_key_dict: Any, data: dict[str, Any]) -> str | None:
    named = user_api_key_dict.end_user_id or data.get("user")
    return named if isinstance(named, str) and named else None

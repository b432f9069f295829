"""The guardrail of LiteLLM's proxy, called as the proxy calls it; the proxy itself runs in scripts/integration."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from stillwatch.response.actions import Action, Scope
from tests.gateway.watching import FAMILY, TEMPLATE, Watch, chat

TRACE = "first I add, then I carry"


class CustomGuardrail:
    """Stands for LiteLLM's base class, which brings nothing that is asked of it here."""

    def __init__(self, **given: Any) -> None:
        self.given = given


class Call:
    """Stands for the object that the proxy makes for each call."""


@pytest.fixture
def guard(service: Watch, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    module = ModuleType("litellm.integrations.custom_guardrail")
    module.CustomGuardrail = CustomGuardrail  # type: ignore[attr-defined]
    for name in ("litellm", "litellm.integrations"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for name, value in (("URL", service.url), ("TOKEN", service.token), ("TIMEOUT_S", "10")):
        monkeypatch.setenv(f"STILLWATCH_{name}", value)
    from stillwatch.gateway.litellm import Stillwatch

    yield Stillwatch()
    sys.modules.pop("stillwatch.gateway.litellm")


def data(call_id: str = "same", **more: Any) -> dict[str, Any]:
    return {**chat("hello"), "litellm_call_id": call_id, "litellm_logging_obj": Call(), **more}


async def before(guard: Any, account: str, asked: dict[str, Any]) -> dict[str, Any]:
    key = SimpleNamespace(api_key=account, user_id=None, team_id=None, end_user_id=None)
    told: dict[str, Any] = await guard.async_pre_call_hook(key, None, asked, "completion")
    return told


def reply() -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"content": "seven", "reasoning_content": TRACE}}]}


async def pieces() -> AsyncIterator[dict[str, Any]]:
    for delta in ({"reasoning_content": TRACE}, {"content": "seven"}):
        yield {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def test_calls_of_one_id_are_told_apart(guard: Any, service: Watch) -> None:
    service.decide(Action.HIDE_REASONING, "acct-1")

    async def run() -> list[str]:
        asked = [await before(guard, "acct-1", data()) for _ in range(4)]
        honest = await before(guard, "honest", data())
        shown = [str(await guard.async_post_call_success_hook(one, None, reply())) for one in asked[:2]]
        for one in (*asked[2:], honest):
            stream = guard.async_post_call_streaming_iterator_hook(None, pieces(), one)
            shown.append(str([piece async for piece in stream]))
        return shown

    *hidden, plain = asyncio.run(run())
    assert [TRACE in one for one in hidden] == [False] * 4
    assert all("seven" in one for one in hidden)
    assert TRACE in plain


def test_an_answer_is_kept_as_long_as_its_call(guard: Any, service: Watch) -> None:
    service.decide(Action.HIDE_REASONING, "acct-1")
    for _ in range(3):
        asyncio.run(before(guard, "acct-1", data()))
    assert len(guard._waiting) == 0
    asyncio.run(before(guard, "acct-1", data(litellm_logging_obj="of a customer")))
    assert guard.asker.counts["unchanged"] == 1


@pytest.mark.parametrize(
    "odd", [float("nan"), float("inf"), "\ud800", "x" * 9_000_000, 10**400, {1: object()}]
)
def test_what_a_tool_says_hides_no_template(guard: Any, service: Watch, odd: object) -> None:
    service.decide(Action.SUSPEND, scope=Scope.FAMILY, family_id=FAMILY)
    tools = [{"type": "function", "function": {"name": "f", "description": odd, "parameters": {"x": odd}}}]
    asked = {**chat("barley by month", TEMPLATE), **{"tools": tools, "litellm_logging_obj": Call()}}
    with pytest.raises(Exception, match="403"):
        asyncio.run(before(guard, "acct-1", asked))
    assert guard.asker.counts["missed"] == 0

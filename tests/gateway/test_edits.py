"""Replies are changed as decided: whole ones, and streams however they are cut."""

from __future__ import annotations

import copy
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwatch.gateway.replies import cap_request, edit, untagged
from stillwatch.gateway.streams import EventTooLongError, Stream, Untagging

TRACE = "first I add, then I carry"
TOKEN = {
    "token": "7",
    "logprob": -0.1,
    "top_logprobs": [{"token": str(n), "logprob": -float(n)} for n in range(5)],
}
CHAT = {
    "object": "chat.completion",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "7",
                "reasoning_content": TRACE,
                "reasoning": TRACE,
                "provider_specific_fields": {"reasoning_content": TRACE},
                "thinking_blocks": [{"type": "thinking", "thinking": TRACE}],
            },
            "logprobs": {"content": [TOKEN], "refusal": None},
            "finish_reason": "stop",
        }
    ],
    "usage": {"completion_tokens": 9},
}
RESPONSES = {
    "object": "response",
    "output": [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "SUMMARY"}],
            "content": [{"type": "reasoning_text", "text": TRACE}],
            "encrypted_content": "sealed",
        },
        {
            "type": "message",
            "content": [{"type": "output_text", "text": "7", "logprobs": [TOKEN]}],
        },
    ],
}
ANTHROPIC = {
    "type": "message",
    "content": [
        {"type": "thinking", "thinking": TRACE, "signature": "sealed"},
        {"type": "text", "text": "7"},
    ],
}
COMPLETION = {
    "object": "text_completion",
    "choices": [
        {"index": 0, "text": "7", "logprobs": {"tokens": ["7"], "top_logprobs": [{"7": -0.1, "8": -3.0}]}}
    ],
}


@pytest.mark.parametrize("reply", [CHAT, RESPONSES, ANTHROPIC], ids=["chat", "responses", "messages"])
def test_the_trace_goes_and_the_answer_stays(reply: dict[str, Any]) -> None:
    told = copy.deepcopy(reply)
    assert edit(told, "strip", None)
    text = json.dumps(told)
    assert TRACE not in text
    assert "SUMMARY" not in text
    assert '"7"' in text
    assert ("sealed" in text) == ("sealed" in json.dumps(reply))


def test_a_summary_that_the_provider_made_stays_where_a_summary_was_decided() -> None:
    told = copy.deepcopy(RESPONSES)
    edit(told, "summarise", None)
    assert TRACE not in json.dumps(told)
    assert "SUMMARY" in json.dumps(told)


@pytest.mark.parametrize("reply", [CHAT, RESPONSES, COMPLETION], ids=["chat", "responses", "completions"])
@pytest.mark.parametrize("most", [0, 1, 3])
def test_log_probabilities_are_capped(reply: dict[str, Any], most: int) -> None:
    told = copy.deepcopy(reply)
    edit(told, None, most)
    kept = json.dumps(told).count('"logprob":') - (most > 0 and reply is not COMPLETION)
    if reply is COMPLETION:
        tops = told["choices"][0]["logprobs"]
        assert (tops is None) if most == 0 else (len(tops["top_logprobs"][0]) == min(most, 2))
    else:
        assert kept == most
    assert TRACE in json.dumps(told) or TRACE not in json.dumps(reply)


def test_a_request_asks_for_no_more_than_it_may_have() -> None:
    asked = {"logprobs": True, "top_logprobs": 20, "model": "m"}
    assert cap_request(asked, 3)
    assert asked == {"logprobs": True, "top_logprobs": 3, "model": "m"}
    assert cap_request(asked, 0)
    assert asked == {"model": "m"}
    assert not cap_request(asked, 0)
    old = {"logprobs": 5, "prompt_logprobs": 20}
    assert cap_request(old, 2)
    assert old == {"logprobs": 2, "prompt_logprobs": 2}
    responses = {"include": ["message.output_text.logprobs", "reasoning.encrypted_content"]}
    assert cap_request(responses, 0)
    assert responses == {"include": ["reasoning.encrypted_content"]}


def said(*tokens: str) -> list[dict[str, Any]]:
    return [{"token": token, "logprob": -0.1, "top_logprobs": []} for token in tokens]


@pytest.mark.parametrize(
    ("tokens", "text", "left"),
    [
        ((TRACE, "</think>", "\n\n", "se", "ven"), "seven", "\n\nseven"),
        ((TRACE, "se", "ven", "<|end|>"), "seven", "seven"),
        (("se", "ven"), "seven", "seven"),
        ((TRACE, "seven"), "", ""),
        ((TRACE,), "seven", ""),
        ((TRACE + "se", "ven"), "seven", "ven"),
        ((), "seven", ""),
    ],
)
def test_tokens_are_told_of_the_text_alone(tokens: tuple[str, ...], text: str, left: str) -> None:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "logprobs": {"content": said(*tokens)}, "token_ids": [1, 2]}
    told: dict[str, Any] = {"choices": [choice]}
    assert edit(told, "strip", None)
    kept = told["choices"][0]["logprobs"]["content"]
    assert "".join(one["token"] for one in kept) == left
    assert "token_ids" not in told["choices"][0]


def test_tokens_are_compared_by_their_bytes() -> None:
    halves = [{"token": "�", "bytes": [195]}, {"token": "�", "bytes": [169]}]
    choice = {"message": {"content": "é"}, "logprobs": {"content": [*said(TRACE), *halves]}}
    told: dict[str, Any] = {"choices": [choice]}
    edit(told, "strip", None)
    assert told["choices"][0]["logprobs"]["content"] == halves


TAGGED = f"<think>{TRACE}</think>\n<thinking>{TRACE}</thinking>7"
TOLD_TAGGED: list[dict[str, Any]] = [
    {"choices": [{"index": 0, "message": {"role": "assistant", "content": TAGGED}}]},
    {"choices": [{"index": 0, "message": {"content": [{"type": "text", "text": TAGGED}]}}]},
    {"choices": [{"index": 0, "text": TAGGED, "logprobs": {"tokens": [TAGGED], "top_logprobs": []}}]},
    {"type": "message", "content": [{"type": "text", "text": TAGGED}]},
    {"output": [{"type": "message", "content": [{"type": "output_text", "text": TAGGED, "logprobs": said(TAGGED)}]}]},
]  # fmt: skip


@pytest.mark.parametrize("reply", TOLD_TAGGED)
def test_a_trace_between_tags_goes_from_every_interface(reply: dict[str, Any]) -> None:
    told = copy.deepcopy(reply)
    edit(told, "strip", None)
    assert TRACE not in json.dumps(told)
    assert '"7"' in json.dumps(told)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<think>a\nb</think>\n\n7", "7"),
        ("<think>a</think><think>b</think>7", "7"),
        ("<think>a</think><think>never closed", ""),
        ("a, so b</think>7", "7"),
        ("<think>never closed", ""),
        ("7 <think> is a tag", "7 <think> is a tag"),
        ("7", "7"),
    ],
)
def test_a_trace_between_tags_goes_too(text: str, left: str) -> None:
    assert untagged(text) == left


def sse(events: list[dict[str, Any] | str], newline: str = "\n") -> bytes:
    lines = []
    for event in events:
        if isinstance(event, dict) and isinstance(event.get("type"), str):
            lines.append(f"event: {event['type']}")
        lines += [f"data: {event if isinstance(event, str) else json.dumps(event)}", ""]
    return (newline.join(lines) + newline).encode()


def delta(**said: Any) -> dict[str, Any]:
    ends = said.pop("finish_reason", None)
    return {"choices": [{"index": 0, "delta": said, "finish_reason": ends}]}


STREAMS = {
    "chat": [
        delta(role="assistant", content=""),
        delta(reasoning_content=TRACE[:9]),
        delta(reasoning_content=TRACE[9:]),
        delta(content="seven "),
        delta(content="é🙂"),
        delta(finish_reason="stop"),
        {"choices": [], "usage": {"completion_tokens": 9}},
        "[DONE]",
    ],
    "tags": [
        delta(role="assistant"),
        delta(content="<thi"),
        delta(content="nk>first I add, "),
        delta(content="then I carry</thin"),
        delta(content="k>\n"),
        delta(content="\nseven "),
        delta(content="é🙂"),
        delta(finish_reason="stop"),
        "[DONE]",
    ],
    "completions": [
        {"choices": [{"index": 0, "text": piece, "finish_reason": None}]}
        for piece in ("<thi", "nk>first I add, ", "then I carry</thin", "k>\n", "\nseven ", "é🙂")
    ],
    "tags in messages": [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
            for piece in ("<thi", "nk>first I add, ", "then I carry</thin", "k>\n", "\nseven ", "é🙂")
        ),
        {"type": "content_block_stop", "index": 0},
    ],
    "tags in responses": [
        *(
            {"type": "response.output_text.delta", "output_index": 0, "delta": piece, "logprobs": said(piece)}
            for piece in ("<think>first I add, ", "then I carry</think>\nseven ", "é🙂")
        ),
        {
            "type": "response.output_text.done",
            "output_index": 0,
            "text": f"<think>{TRACE}</think>\nseven é🙂",
            "logprobs": said(f"<think>{TRACE}</think>\nseven é🙂"),
        },
    ],
    "messages": [
        {"type": "message_start", "message": {"content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": TRACE}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "signature_delta", "signature": "sealed"},
        },
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "seven "}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "é🙂"}},
        {"type": "message_stop"},
    ],
    "responses": [
        {"type": "response.reasoning_text.delta", "delta": TRACE},
        {"type": "response.reasoning_summary_text.delta", "delta": TRACE},
        {"type": "response.reasoning_part.done", "part": {"type": "reasoning_text", "text": TRACE}},
        {"type": "response.content_part.done", "part": {"type": "reasoning_text", "text": TRACE}},
        {"type": "response.output_item.done", "item": RESPONSES["output"][0]},  # type: ignore[index]
        {"type": "response.output_text.delta", "delta": "seven ", "logprobs": [TOKEN]},
        {"type": "response.output_text.delta", "delta": "é🙂"},
        {"type": "response.completed", "response": RESPONSES},
    ],
}


def text_of(stream: bytes) -> str:
    """What a client would show of a stream."""
    shown = []
    for line in stream.decode().splitlines():
        if line.startswith("data: {"):
            event = json.loads(line[6:])
            for choice in event.get("choices", ()):
                shown.append(choice["delta"].get("content") or "" if "delta" in choice else choice["text"])
            piece = event.get("delta")
            shown.append(piece if isinstance(piece, str) else (piece or {}).get("text", ""))
    return "".join(shown)


@pytest.mark.parametrize("name", STREAMS)
@settings(deadline=None)
@given(data=st.data())
def test_a_stream_loses_its_trace_wherever_it_is_cut(name: str, data: st.DataObject) -> None:
    newline = data.draw(st.sampled_from(["\n", "\r\n"]))
    whole = sse(STREAMS[name], newline)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=12)))
    stream = Stream("strip", 0)
    pieces = [whole[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    out = b"".join(map(stream.feed, pieces)) + stream.end()
    once = Stream("strip", 0)
    assert out == once.feed(whole) + once.end()
    assert TRACE[:9] not in out.decode()
    assert TRACE[9:] not in out.decode()
    assert b"top_logprobs" not in out
    assert text_of(out).strip() == "seven é🙂"
    assert (b"[DONE]" in out) == (b"[DONE]" in whole)


@given(
    text=st.text("<>/thinkab \n", max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=8),
    traced=st.booleans(),
)
def test_pieces_of_a_text_give_what_the_whole_gives(text: str, cuts: list[int], traced: bool) -> None:
    whole = f"<think>a{text}</think>\n{text}" if traced else text
    bounds = sorted({0, len(whole), *(cut % (len(whole) + 1) for cut in cuts)})
    piecewise, at_once = Untagging(), Untagging()
    pieces = [whole[start:stop] for start, stop in pairwise(bounds)]
    assert "".join(map(piecewise.feed, pieces)) + piecewise.end() == at_once.feed(whole) + at_once.end()


@pytest.mark.parametrize("name", ["messages", "responses", "chat", "completions"])
def test_a_text_that_is_the_begin_of_a_tag_is_sent_at_its_end(name: str) -> None:
    events: dict[str, list[dict[str, Any] | str]] = {
        "messages": [
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "<th"}},
            {"type": "content_block_stop", "index": 0},
        ],
        "responses": [
            {"type": "response.output_text.delta", "output_index": 0, "delta": "<th"},
            {"type": "response.output_text.done", "output_index": 0, "text": "<th"},
        ],
        "chat": [delta(content="<t"), delta(content="h"), delta(finish_reason="stop")],
        "completions": [{"choices": [{"index": 0, "text": "<th", "finish_reason": "stop"}]}],
    }
    stream = Stream("strip", None)
    out = stream.feed(sse(events[name])) + stream.end()
    assert text_of(out) == "<th"


def test_tokens_of_a_trace_go_from_a_stream_and_others_stay() -> None:
    events: list[dict[str, Any] | str] = []
    for piece in ({"reasoning": "a"}, {}, {"content": "b"}, {"content": "c", "reasoning": "d"}):
        choice = {"index": 0, "delta": piece, "logprobs": {"content": said("".join(piece.values()) or "e")}}
        events.append({"choices": [choice]})
    stream = Stream("strip", None)
    out = stream.feed(sse(events)).decode()
    assert [token for token in "abcde" if f'"token":"{token}"' in out] == ["b"]


def test_an_event_without_end_ends_the_stream() -> None:
    stream = Stream("strip", None)
    with pytest.raises(EventTooLongError, match="longer than 16 MiB"):
        stream.feed(b"data: " + b"x" * (17 << 20))


def test_what_is_no_json_passes_as_it_is() -> None:
    stream = Stream("strip", 0)
    odd = b": ping\n\ndata: not json\n\ndata: [1]\n\nevent: done\n\n"
    assert stream.feed(odd) == odd

"""Messages, replies, times and JSON: the parts that all formats share."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwatch.formats import MalformedError, StatedMessage
from stillwatch.formats._content import _BLOB, add_turns, media_token, stated_messages, without_blobs
from stillwatch.formats._decode import decode, mend
from stillwatch.formats._replies import Reply, reply_of
from stillwatch.formats._times import to_microseconds


def turns_of(messages: list[StatedMessage]) -> list[tuple[str, str]]:
    roles: list[str] = []
    contents: list[str] = []
    add_turns(messages, roles, contents)
    return list(zip(roles, contents, strict=True))


PICTURE = base64.b64encode(bytes(range(256))).decode()


def test_media_are_one_token_however_they_are_sent() -> None:
    url = f"data:image/png;base64,{PICTURE}"
    sent: list[Any] = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image_url", "image_url": url},
        {"type": "input_image", "image_url": url},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}},
        {"type": "input_audio", "input_audio": {"data": PICTURE, "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": url}},
    ]
    tokens = {turns_of([StatedMessage("user", [part])])[0][1] for part in sent}
    assert tokens == {media_token(PICTURE)}
    assert (
        without_blobs(f"look: {url} and {PICTURE}!")
        == f"look: {media_token(PICTURE)} and {media_token(PICTURE)}!"
    )


def test_words_and_short_codes_are_no_media() -> None:
    text = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft " + "a1B2" * 40
    assert without_blobs(text) == text


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.integers(150, 450).map(lambda length: "aZ9+"[length % 4] * length),
            st.text("ab /+=\n:,é", max_size=260),
            st.just("data:image/png;base64,"),
        ),
        max_size=6,
    ),
    st.sampled_from(["", " "]),
)
def test_a_look_at_few_places_misses_no_medium(pieces: list[str], between: str) -> None:
    text = between.join(pieces)
    assert without_blobs(text) == _BLOB.sub(lambda found: media_token(found.group(1)), text)


def test_a_tool_result_inside_a_users_message_is_a_tools_message() -> None:
    message = StatedMessage(
        "user",
        [
            {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "minus 4"}]},
            {"type": "text", "text": "and tomorrow?"},
        ],
    )
    assert turns_of([message]) == [("tool", "minus 4"), ("user", "and tomorrow?")]
    assert turns_of([StatedMessage("user", message.content[:1])]) == [("tool", "minus 4")]  # type: ignore[index]


def test_a_tool_call_has_one_text_for_every_api() -> None:
    openai = StatedMessage(
        "assistant", None, [{"type": "function", "function": {"name": "w", "arguments": '{"b": 1, "a": 2}'}}]
    )
    legacy = StatedMessage("assistant", None, None, {"name": "w", "arguments": '{"a":2,"b":1}'})
    blocks = StatedMessage(
        "assistant", [{"type": "tool_use", "id": "t", "name": "w", "input": {"a": 2, "b": 1}}]
    )
    item = stated_messages(
        [{"type": "function_call", "name": "w", "arguments": '{"a":2,"b":1}', "call_id": "c"}]
    )[0]
    assert {tuple(turns_of([message])) for message in (openai, legacy, blocks, item)} == {
        (("assistant", 'w({"a":2,"b":1})'),)
    }


def test_arguments_that_are_no_json_stay_as_they_are() -> None:
    call = StatedMessage("assistant", "ok", [{"function": {"name": "w", "arguments": '{"a": '}}])
    assert turns_of([call]) == [("assistant", 'ok\nw({"a": )')]


def test_reasoning_that_a_client_sends_back_is_left_out() -> None:
    message = StatedMessage(
        "assistant", [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "42"}]
    )
    assert turns_of([message]) == [("assistant", "42")]
    assert stated_messages([{"type": "reasoning", "summary": []}, "hello"]) == [
        StatedMessage("user", "hello")
    ]


@pytest.mark.parametrize("messages", [7, [7], [{"content": "x"}], [None]])
def test_messages_of_no_known_shape_are_malformed(messages: object) -> None:
    with pytest.raises(MalformedError):
        stated_messages(messages)


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (None, Reply(None, None)),
        ({}, Reply(None, None)),
        ("plain", Reply("plain", None)),
        ({"choices": [{"text": "legacy"}]}, Reply("legacy", None)),
        ({"choices": [{"message": {"content": None, "refusal": "no"}}]}, Reply("no", None)),
        ({"choices": [{"message": {"content": "a"}}, {"message": {"content": "b"}}]}, Reply("a\nb", None)),
        ({"choices": [{"message": {"content": "a", "tool_calls": 7}}]}, Reply("a", None)),
        ({"choices": [None, {"message": {"content": [{"type": "text", "text": "a"}]}}]}, Reply("a", None)),
        (
            {
                "type": "message",
                "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}],
            },
            Reply("a", "hm"),
        ),
        ({"output": [{"type": "reasoning", "encrypted_content": "x"}]}, Reply(None, None)),
        (
            {"output": [{"type": "function_call", "name": "w", "arguments": "{}"}]},
            Reply("w({})", None),
        ),
    ],
)
def test_a_reply_is_one_completion_and_one_reasoning(response: object, expected: Reply) -> None:
    assert reply_of(response) == expected


def test_a_number_tells_its_unit_by_its_size() -> None:
    seconds = 1_769_940_000
    expected = seconds * 1_000_000
    assert [to_microseconds(seconds * unit) for unit in (1, 1_000, 1_000_000, 1_000_000_000)] == [
        expected
    ] * 4
    assert to_microseconds(float(seconds)) == expected


def test_iso_times_of_several_writers_are_one_time() -> None:
    texts = [
        "2026-02-01T10:00:00Z",
        "2026-02-01 10:00:00+00",
        "2026-02-01T10:00:00",
        "2026-02-01T12:00:00.000000000+02:00",
        " 2026-02-01 10:00:00 UTC",
    ]
    assert {to_microseconds(text) for text in texts} == {1_769_940_000_000_000}


@pytest.mark.parametrize(
    "value", ["", "now", "10:00", "2026-13-01", "1969-12-31", "0001-01-01", -1, 0, 1e9 / 3, 1e30]
)
def test_nonsense_is_no_time(value: str | float) -> None:
    with pytest.raises(MalformedError, match="the time is"):
        to_microseconds(value)


class Sample(msgspec.Struct):
    name: str
    number: int | None = None
    text: str | None = None


def test_json_that_programs_write_is_mended_and_odd_optional_fields_are_named() -> None:
    decoder = msgspec.json.Decoder(Sample)
    assert decode(decoder, b'{"name": "a", "number": NaN}') == (Sample("a"), ("number",))
    assert decode(decoder, rb'{"name": "a\ud83d", "text": ["x"]}') == (Sample("a�"), ("text",))
    assert mend(rb'"\ud83d\ude00"') == "\U0001f600"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"number": 1}', "the field name is missing"),
        (b'{"name": 1}', "the field name has a wrong type"),
        (b'{"name": "a"', "not a JSON object"),
        (b'{"name": "\xff"}', "not UTF-8"),
        (b"[1]", "not a JSON object"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_reason_names_the_field(text: bytes, reason: str) -> None:
    with pytest.raises(MalformedError) as caught:
        decode(msgspec.json.Decoder(Sample), text)
    assert str(caught.value) == reason

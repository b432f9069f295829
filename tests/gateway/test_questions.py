"""What a plug-in tells of a request: always readable, never too much, and with the text that it is about."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwatch.gateway.questions import (
    FIELD_BYTES,
    FIELDS,
    BrokenError,
    UnreadableError,
    name,
    plain,
    read,
    told,
)
from stillwatch.live.matching import fragments_of
from stillwatch.response.template import Templates
from tests.gateway.watching import FAMILY, KEYS, TEMPLATE, chat, template

SAID = json.dumps({"model": "m", "x": "é"}, ensure_ascii=False)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_body_is_read_in_every_encoding_of_json(encoding: str) -> None:
    assert read(SAID.encode(encoding)) == {"model": "m", "x": "é"}


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"x": NaN}', "nan"),
        (b'{"x": -1e999}', "-inf"),
        (b'{"x": "\\ud800"}', "\ufffd"),
        (b'{"x": "\\ud83d\\ude42"}', "🙂"),
        (b'{"x": "\xff"}', "\ufffd"),
        (b'{"x": "\n"}', "\n"),
        (b'  {"x": 1} and so on', 1),
        (b'{"x": ' + b"9" * 5000 + b"}", "inf"),
        (b'{"x": ' + b"9" * 400 + b"}", "inf"),
        (b'{"x": 18446744073709551616}', "1.8446744073709552e+19"),
    ],
)
def test_what_servers_read_is_read_and_can_be_told(body: bytes, value: object) -> None:
    found = plain(read(body))
    assert found == {"x": value}
    assert msgspec.json.decode(json.dumps(found)) == found


@pytest.mark.parametrize("body", [b"", b"no", b"--x\r\n", b'"{', b"\x1f\x8b\x00"])
def test_what_no_server_reads_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        read(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"x": "a',
        b" " * 100,
        '{"x": "a'.encode("utf-16")[:-1],
        b"\xef\xbb\xbf {",
    ],
)
def test_of_the_begin_of_an_object_others_may_read_more(body: bytes) -> None:
    with pytest.raises(BrokenError):
        read(body)


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text('a\ud800\udc00é🙂\n\0"\\', max_size=9)
    | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from((*FIELDS, "metadata")), ODD))
def test_whatever_a_request_holds_can_be_told(request_: dict[str, Any]) -> None:
    body, cut = told(request_)
    found = msgspec.json.decode(body)
    assert not cut
    assert found.keys() == {field for field, value in request_.items() if value is not None} - {"metadata"}


def wide(depth: int) -> Any:
    return {f"field-{n}-{depth}": wide(depth - 1) for n in range(12)} if depth else "x" * 8


PADDING = {
    "one long text": "lorem ipsum " * 400_000,
    "a picture": "data:image/png;base64," + "QUJD" * 1_000_000,
    "wide characters": "漢" * 1_400_000,
    "many texts": ["lorem ipsum " * 60] * 6000,
    "many numbers": [1e15] * 1_000_000,
    "an object of objects": wide(5),
}


@pytest.mark.parametrize("kind", PADDING)
@pytest.mark.parametrize("place", ["a field of the message", "another message", "another prompt", "tools"])
def test_padding_hides_no_template(kind: str, place: str) -> None:
    padding, request_ = PADDING[kind], chat("barley by month", TEMPLATE)
    if place == "a field of the message":
        request_["messages"][0] = {"padding": padding, **request_["messages"][0]}
    elif place == "another message":
        request_["messages"].append({"role": "user", "content": padding})
    else:
        request_["input" if place == "another prompt" else "tools"] = [{"role": "user", "content": padding}]
    body, cut = told(request_)
    assert cut
    assert len(body) <= 8 * (FIELD_BYTES + 20)
    found = fragments_of(msgspec.json.decode(body), KEYS)
    assert Templates([template()]).match(found) == {FAMILY}


def test_of_a_long_text_is_told_what_a_sketch_reads() -> None:
    text = " ".join(f"word{n}" for n in range(200_000))
    body, cut = told(chat(text))
    assert cut
    assert fragments_of(msgspec.json.decode(body), KEYS) == fragments_of(chat(text), KEYS)


def test_a_name_can_be_told() -> None:
    assert name(None) is None
    assert name("acct-1") == "acct-1"
    assert name("\ud800") == "\ufffd"
    assert len(name("x " * 1_000_000) or "") == 1 << 16

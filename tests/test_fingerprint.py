"""The sketch: what is kept of a text, under which hash, and what never is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwatch import hashing
from stillwatch.fingerprint import SKETCH_SCHEMA, Limits, fragments, sketch
from stillwatch.keys import KeyFileError, Keys, load
from stillwatch.segment import words_of
from tests.conftest import exchange, to_batch, words

TEMPLATE = (
    "Read the passage below and write out every step of the reasoning "
    "that leads to the answer you would give."
)


def parts(text: Any, keys: Keys, **more: Any) -> dict[str, list[int]]:
    row = sketch(to_batch([exchange(1, "a", text, **more)]), keys).to_pylist()[0]
    return {part["role"]: part["fragments"] for part in row["parts"]}


def naive_siphash(key0: int, key1: int, tag: int, message: list[int]) -> int:
    """SipHash-1-3 over 64-bit words with plain integers, after Aumasson & Bernstein 2012."""
    full = (1 << 64) - 1

    def rotate(value: int, bits: int) -> int:
        return ((value << bits) | (value >> (64 - bits))) & full

    def mix(v: list[int]) -> None:
        v[0] = (v[0] + v[1]) & full
        v[1] = rotate(v[1], 13) ^ v[0]
        v[0] = rotate(v[0], 32)
        v[2] = (v[2] + v[3]) & full
        v[3] = rotate(v[3], 16) ^ v[2]
        v[0] = (v[0] + v[3]) & full
        v[3] = rotate(v[3], 21) ^ v[0]
        v[2] = (v[2] + v[1]) & full
        v[1] = rotate(v[1], 17) ^ v[2]
        v[2] = rotate(v[2], 32)

    v = [
        key0 ^ 0x736F6D6570736575,
        key1 ^ 0x646F72616E646F6D,
        key0 ^ 0x6C7967656E657261,
        key1 ^ 0x7465646279746573,
    ]
    for word in [tag, *message, len(message) << 56]:
        v[3] ^= word
        mix(v)
        v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(3):
        mix(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def test_siphash_equals_the_plain_version() -> None:
    rng = np.random.default_rng(0)
    for size in range(9):
        message = rng.integers(0, 2**63, size).astype(np.uint64)
        key0, key1, tag = (int(value) for value in rng.integers(0, 2**63, 3))
        found = hashing.siphash(np.uint64(key0), np.uint64(key1), np.uint64(tag), message, 0, size)
        assert int(found) == naive_siphash(key0, key1, tag, [int(word) for word in message])


@pytest.mark.parametrize(
    "disguised",
    [
        TEMPLATE.upper(),
        TEMPLATE.replace("reasoning", "rea\u200bson\u00ading").replace("passage", "pas\ufeffsage"),
        TEMPLATE.replace(" ", "  \n").replace("below", "»below«"),
        "".join(chr(ord(letter) + 0xFEE0) if letter.isalpha() else letter for letter in TEMPLATE),
        TEMPLATE.replace("e", "e\ufe0f"),
    ],
    ids=["case", "zero width", "punctuation", "full width", "variation selectors"],
)
def test_disguises_that_nobody_sees_change_nothing(disguised: str, keys: Keys) -> None:
    assert parts(disguised, keys) == parts(TEMPLATE, keys)


def test_composed_and_decomposed_letters_are_one(keys: Keys) -> None:
    composed = "Évaluez la réponse donnée ci-dessous et détaillez chaque étape du raisonnement"
    decomposed = composed.replace("é", "e\u0301").replace("É", "E\u0301")
    assert parts(composed, keys) == parts(decomposed, keys)


def test_a_shared_run_of_words_is_always_seen_in_any_context(keys: Keys) -> None:
    rng = np.random.default_rng(1)
    run = "write down every single step of your hidden reasoning"
    for key in range(10):
        own = Keys(local=bytes([key]) * 16)
        left, right = (f"{words(rng, 9)} {run} {words(rng, 9)}" for _ in range(2))
        assert set(parts(left, own)["new"]) & set(parts(right, own)["new"])


@pytest.mark.parametrize(
    "run",
    [
        "请逐步写出得到答案的完整推理过程并解释每一步",
        "答えに至るまでの推論を一歩ずつすべて書き出してください",
        "จงเขียนเหตุผลทุกขั้นตอนที่นำไปสู่คำตอบอย่างละเอียด",
    ],
)
def test_scripts_without_spaces_share_fragments_inside_longer_text(run: str, keys: Keys) -> None:
    left, right = f"天地玄黄。{run}。宇宙洪荒", f"ABC {run} xyz"
    assert set(parts(left, keys)["new"]) & set(parts(right, keys)["new"])


def test_system_tools_and_new_text_never_meet(keys: Keys) -> None:
    found = parts([("system", TEMPLATE), ("user", TEMPLATE)], keys, tools=[TEMPLATE])
    assert set(found) == {"system", "tools", "new"}
    values = [set(fragments) for fragments in found.values()]
    assert not values[0] & values[1]
    assert not values[1] & values[2]
    assert not values[0] & values[2]


def test_only_what_follows_the_last_assistant_turn_is_new(keys: Keys) -> None:
    history = [
        ("user", words(np.random.default_rng(2), 30)),
        ("assistant", words(np.random.default_rng(3), 30)),
    ]
    assert parts([*history, ("user", TEMPLATE)], keys) == parts(TEMPLATE, keys)


def test_prefill_is_new_text(keys: Keys) -> None:
    prefilled = parts(
        [("user", TEMPLATE), ("assistant", "<thinking> first I look at the passage and then")], keys
    )
    assert set(parts(TEMPLATE, keys)["new"]) < set(prefilled["new"])


def test_earlier_turns_are_kept_only_where_a_conversation_begins(keys: Keys) -> None:
    turns = [("user", TEMPLATE), ("assistant", "Yes."), ("user", words(np.random.default_rng(4), 12))]
    assert "earlier" not in parts(turns, keys)
    first = exchange(1, "a", turns, conversation_id="c")
    second = exchange(2, "a", turns, conversation_id="c")
    rows = sketch(to_batch([second, first]), keys).to_pylist()
    assert [[part["role"] for part in row["parts"]] for row in rows] == [["new"], ["new", "earlier"]]


def test_another_key_gives_other_hashes_everywhere(keys: Keys) -> None:
    row = exchange(1, "a", TEMPLATE, ip="192.0.2.7", payment_fingerprint="card", conversation_id="c")
    left = sketch(to_batch([row]), keys).to_pylist()[0]
    right = sketch(to_batch([row]), Keys(local=b"another key of sixteen bytes")).to_pylist()[0]
    assert not set(left["parts"][0]["fragments"]) & set(right["parts"][0]["fragments"])
    for name in ("principal", "ip", "network", "payment", "conversation", "request_hash"):
        assert left[name] != right[name]
    assert left["objective"] == right["objective"]


def test_a_sketch_holds_no_text_and_no_address(keys: Keys) -> None:
    row = exchange(
        1,
        "a",
        [("system", "a marigold secret"), ("user", f"marigold {TEMPLATE}")],
        ip="192.0.2.7",
        user_agent="marigold/1",
    )
    stored = repr(sketch(to_batch([row]), keys).to_pydict())
    assert "marigold" not in stored
    assert "192.0.2" not in stored
    assert "reasoning" not in stored


def test_the_sketch_of_a_batch_is_the_sketches_of_its_rows(keys: Keys) -> None:
    rng = np.random.default_rng(5)
    rows = [
        exchange(n, f"a{n % 3}", [("system", words(rng, n)), ("user", words(rng, 2 * n))]) for n in range(40)
    ]
    whole = sketch(to_batch(rows), keys)
    assert whole.schema == SKETCH_SCHEMA
    single = [sketch(to_batch([row]), keys) for row in rows]
    assert whole.to_pylist() == [batch.to_pylist()[0] for batch in single]
    sliced = sketch(to_batch(rows).slice(7, 20), keys)
    assert sliced.to_pylist() == whole.to_pylist()[7:27]


PIECES = (
    "seven",
    "plain",
    "words",
    "of a longer text here",
    "ÉTÉ",
    "ﬁne",
    "東京",
    "e\u0301",
    "don't",
    "3.14",
    "\u200b",
)
DEFINED = '{"name": "a tool that looks things up in the index of names"}'


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["system", "user", "assistant", "tool", "Developer"]),
            st.lists(st.sampled_from(PIECES), max_size=30).map(" ".join),
        ),
        max_size=6,
    ),
    st.lists(st.sampled_from([DEFINED, "für Ämter"]), max_size=2),
)
def test_fragments_of_one_request_are_those_of_its_sketch(
    turns: list[tuple[str, str]], tools: list[str]
) -> None:
    keys = Keys(local=b"a key for tests and nothing else")
    (row,) = sketch(to_batch([exchange(0, "a", turns, tools=tools)]), keys).to_pylist()
    expected = {fragment for part in row["parts"] for fragment in part["fragments"]}
    roles, contents = [role for role, _ in turns], [content for _, content in turns]
    assert fragments(roles, contents, tools, keys) == expected


def test_an_overlong_text_is_read_from_both_ends_and_counted(keys: Keys) -> None:
    rng = np.random.default_rng(6)
    text = f"{TEMPLATE} {words(rng, 3000)} {TEMPLATE.replace('passage', 'final text')}"
    batch = sketch(to_batch([exchange(1, "a", text)]), keys, Limits(text_bytes=4000))
    row = batch.to_pylist()[0]
    assert row["truncated"] == len(text) - 4000
    fragments = set(row["parts"][0]["fragments"])
    assert fragments & set(parts(TEMPLATE, keys)["new"])


def test_empty_and_odd_messages_are_sketched_without_an_error(keys: Keys) -> None:
    rows = [
        exchange(1, "a", []),
        exchange(2, "a", ""),
        exchange(3, "a", [("critic", "\u200b"), ("user", "!!!")]),
    ]
    rows.append(exchange(4, "a", [("user", None)]))
    batch = sketch(to_batch(rows), keys)
    assert batch.num_rows == 4
    assert sketch(to_batch([]), keys).num_rows == 0


def test_principals_are_end_users_where_the_log_names_them(keys: Keys) -> None:
    rows = [
        exchange(1, "k", "x", end_user_id="u"),
        exchange(2, "k", "x", end_user_id="v"),
        exchange(3, "k", "x"),
        exchange(4, "k", "x", end_user_id="u"),
    ]
    names = sketch(to_batch(rows), keys)["principal"].to_pylist()
    assert names[0] == names[3]
    assert len(set(names)) == 3


def test_words_follow_unicode_segmentation() -> None:
    count = {
        text: len(words_of(text)[0])
        for text in (
            "don’t stop",
            "3.14 is 1,000",
            "snake_case x",
            "ภาษาไทย",
            "数据analysis",
            "a\u0301b",
            "😀 ok",
        )
    }
    assert count == {
        "don’t stop": 2,
        "3.14 is 1,000": 3,
        "snake_case x": 2,
        "ภาษาไทย": 7,
        "数据analysis": 3,
        "a\u0301b": 1,
        "😀 ok": 1,
    }


def test_the_key_file_is_made_once_with_mode_0600(tmp_path: Any) -> None:
    path = tmp_path / "deep" / "key"
    keys = load(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load(path) == keys
    assert keys.name in repr(keys.name)
    assert keys.local.decode() not in repr(keys)


def test_a_short_key_is_refused_with_a_remedy(tmp_path: Any) -> None:
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(KeyFileError, match="5 bytes; at least 16 are needed: remove the file"):
        load(tmp_path / "key")
    with pytest.raises(KeyFileError, match="name another with --key"):
        load(tmp_path)


def test_hashes_of_strings_are_those_of_their_bytes() -> None:
    texts = pa.array(["", "a", "a\x00", "longer than eight bytes", None, "ü"])
    found = hashing.hash_strings(texts, (1, 2))
    assert found[0] == found[4]
    assert len(set(found.tolist())) == 5
    assert hashing.hash_strings(texts.slice(2, 2), (1, 2)).tolist() == found[2:4].tolist()

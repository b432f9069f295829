"""Whatever a log holds: never an error without a name, never a lost good record."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stillwatch.exchange import EXCHANGE_SCHEMA
from stillwatch.formats import LineFormat, MessageFormat, line_formats
from stillwatch.rejects import LogError, RejectLog
from stillwatch.sources import open_log, read_body

FIXTURES = Path(__file__).parent / "fixtures"
FORMATS = st.sampled_from(line_formats())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "id", "function"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


def good_lines(name: str) -> list[bytes]:
    plain = FIXTURES / f"{name}.jsonl"
    text = (
        plain.read_bytes() if plain.exists() else gzip.decompress(plain.with_suffix(".jsonl.gz").read_bytes())
    )
    return text.splitlines()


GOOD = {format_.name: good_lines(format_.name) for format_ in line_formats()}
GOOD_IDS = {
    format_.name: [
        set(read_body(format_, line).batch["exchange_id"].to_pylist()) for line in GOOD[format_.name]
    ]
    for format_ in line_formats()
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place inside a decoded record."""
    found = [path] if path else []
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            found += places(inner, (*path, key))
    return found


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    target = value
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = new
    return value


@settings(max_examples=150, deadline=None, derandomize=True)
@given(format_=FORMATS, which=st.integers(0, 29), place=st.integers(0, 10_000), new=JSON)
def test_any_value_at_any_place_is_read_or_rejected_with_a_reason(
    format_: LineFormat, which: int, place: int, new: Any
) -> None:
    lines = GOOD[format_.name]
    record = json.loads(lines[which % len(lines)])
    record.pop("model_map_information", None)
    known = places(record)
    text = json.dumps(put(record, known[place % len(known)], new)).encode()
    piece = read_body(format_, text)
    piece.batch.validate(full=True)
    assert piece.batch.schema.equals(EXCHANGE_SCHEMA)
    told = len(piece.batch) + len(piece.rejected) + sum(piece.skipped.values())
    # What was put in may be several spans.
    assert told == 1 or (told and isinstance(format_, MessageFormat))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    format_=FORMATS,
    rows=st.lists(
        st.integers(0, 29)
        | st.binary(max_size=30).filter(lambda text: b"\n" not in text)
        | JSON.map(lambda value: json.dumps(value).encode()),
        min_size=1,
        max_size=8,
    ),
    name=st.sampled_from(["log.jsonl", "log.json", "log.jsonl.gz"]),
)
@example(format_=line_formats()[0], rows=[b"[", 0, b"]"], name="log.json")
def test_no_good_record_is_lost_among_bad_ones(
    format_: LineFormat, rows: list[int | bytes], name: str
) -> None:
    lines = GOOD[format_.name]
    chosen = [row % len(lines) if isinstance(row, int) else row for row in rows]
    text = b"\n".join(lines[row] if isinstance(row, int) else row for row in chosen)
    expected = [GOOD_IDS[format_.name][row] for row in chosen if isinstance(row, int)]
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / name
        file.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        rejects = RejectLog(None, limit=1.0)
        try:
            batches = list(open_log([file], rejects=rejects, format=format_.name))
        except LogError:
            # The log as a whole is refused only if it holds no exchange at all.
            assert not any(expected)
            return
        found = pa.Table.from_batches(batches, EXCHANGE_SCHEMA)["exchange_id"].to_pylist()
        # Noise may be a record too, but the good ones are there, in their order.
        remaining = iter(found)
        assert all(identifier in remaining for ids in expected for identifier in ids)

"""Logs with broken records among good ones, for every format: what a fuzzer reads, and what must hold of it.

A format's corpus is its fixture of that name. An input is one record of it (or of another format) that was
changed somewhere: a value, a key, a part of the tree, some bytes. A file holds several of them and a few good
records, and the good ones must come out as they do alone. Used by the tests and by ``benchmarks/fuzz``.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stillwatch.exchange import EXCHANGE_SCHEMA
from stillwatch.formats import LineFormat, MalformedError, PairedFormat, line_formats
from stillwatch.formats.native_parquet import FORMAT as NATIVE_TABLE
from stillwatch.rejects import LogError, RejectLog
from stillwatch.sources import open_log, read_body

FIXTURES = Path(__file__).parent / "fixtures"
# Stands in changed records; a reason that holds it has told what was in the log.
CANARY = "hunter2-canary"
PICTURE = "data:image/png;base64," + "QUJD" * 80
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**70, -(2**63), 0.5, 1e308, float("nan"), float("inf"), "", " ", "0", "null",
    CANARY, CANARY * 40, PICTURE, "\ud83d", "\x00", "２０２６", "2026-02-01T10:00:00Z", "9999-12-31", 1769940000,
    [], {}, [[]],
    [None], [CANARY], {CANARY: CANARY}, {"type": CANARY}, {"type": "tool_use"}, {"type": "function_call_output"},
    {"type": "image_url", "image_url": 7}, {"role": "user"}, {"role": CANARY, "content": CANARY}, {"content": [[]]},
    [{"role": "user", "content": [{"type": "tool_result"}, 7, None]}], {"function": {"arguments": "{"}}, {"text": [1]},
    {"": ""}, "{}", "[]", '{"a": ', '[{"role": "user", "content": "x"}]',
)  # fmt: skip
# A file that begins so is no file of lines, and is refused as what it seems to be.
MAGIC = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1")
DEEP = (b"[" * 3000, b'{"a":' * 3000, b"[" * 300 + b"]" * 300, b'{"messages":' * 200 + b"1" + b"}" * 200)


class BrokenPromiseError(AssertionError):
    """A reader did what none may do; the text says which and how to see it again."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Records that tell one exchange (or none), and the rows that they give alone."""

    texts: tuple[bytes, ...]
    rows: tuple[str, ...]
    keys: frozenset[str]
    """Names of the halves that it is made of; empty for a whole record."""


def fixture(name: str) -> list[bytes]:
    """Records of a format's fixture."""
    plain = FIXTURES / f"{name}.jsonl"
    data = (
        plain.read_bytes() if plain.exists() else gzip.decompress(plain.with_suffix(".jsonl.gz").read_bytes())
    )
    return [line for line in data.splitlines() if line.strip()]


@cache
def corpus(name: str) -> tuple[Unit, ...]:
    """Good records of a format, those that belong together as one."""
    (format_,) = (found for found in line_formats() if found.name == name)
    groups: dict[str, list[bytes]] = {}
    for number, text in enumerate(fixture(name)):
        groups.setdefault(key_of(format_, text) or f"\n{number}", []).append(text)
    return tuple(
        Unit(
            tuple(texts),
            tuple(rows_of(read_body(format_, b"[" + b",".join(texts) + b"]").batch)),
            frozenset(filter(None, (key_of(format_, text) for text in texts))),
        )
        for texts in groups.values()
    )


@cache
def everything() -> tuple[bytes, ...]:
    """A record of every kind: what a file of another format may bring in."""
    return tuple(
        text for format_ in line_formats() for unit in corpus(format_.name)[:3] for text in unit.texts
    )


def key_of(format_: LineFormat, text: bytes) -> str | None:
    """The name that a half waits under, if the record is one."""
    if not isinstance(format_, PairedFormat):
        return None
    try:
        half = format_.read(text).half
    except MalformedError:
        return None
    return None if half is None else half.key


def rows_of(batch: pa.RecordBatch) -> list[str]:
    """Rows as texts that can be compared; not a number is equal to itself in them."""
    return [repr(row) for row in batch.to_pylist()]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place inside a decoded record: what holds it, and under which key."""
    found: list[tuple[Any, Any]] = []
    if isinstance(value, dict | list):
        for key, inner in list(value.items()) if isinstance(value, dict) else enumerate(value):
            found.append((value, key))
            found += places(inner)
    return found


def changed_tree(draw: random.Random, text: bytes) -> bytes:
    """A record with one to three changes at places of its tree."""
    value = json.loads(text)
    for _ in range(draw.randint(1, 3)):
        known = places(value)
        if not known:
            break
        holder, key = draw.choice(known)
        draw.choice(_TREE_CHANGES)(draw, holder, key)
    return json.dumps(value, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")


def _replace(draw: random.Random, holder: Any, key: Any) -> None:
    # A copy: a later change inside of it must not reach the next record.
    holder[key] = json.loads(json.dumps(draw.choice(ODD)))


def _remove(draw: random.Random, holder: Any, key: Any) -> None:
    del holder[key]


def _rename(draw: random.Random, holder: Any, key: Any) -> None:
    if isinstance(holder, dict):
        holder[draw.choice(("type", "content", "text", "role", "id", "input", CANARY, ""))] = holder.pop(key)


def _wrap(draw: random.Random, holder: Any, key: Any) -> None:
    holder[key] = draw.choice(
        ([holder[key]], {"value": holder[key]}, [holder[key]] * 3, {"text": holder[key]})
    )


def _as_text(draw: random.Random, holder: Any, key: Any) -> None:
    inner = json.dumps(holder[key])
    holder[key] = inner if draw.random() < 0.7 else inner[: draw.randint(0, len(inner))]


def _open(draw: random.Random, holder: Any, key: Any) -> None:
    """Put what is inside of a value in its place."""
    inner = holder[key]
    if isinstance(inner, dict | list) and inner:
        holder[key] = draw.choice(list(inner.values()) if isinstance(inner, dict) else inner)


_TREE_CHANGES: tuple[Callable[[random.Random, Any, Any], None], ...] = (
    _replace, _replace, _replace, _remove, _rename, _wrap, _as_text, _open,
)  # fmt: skip


def changed_bytes(draw: random.Random, text: bytes) -> bytes:
    """A record with some of its bytes changed, cut out, doubled or put in."""
    data = bytearray(text)
    for _ in range(draw.randint(1, 4)):
        start = draw.randint(0, len(data))
        end = min(len(data), start + draw.choice((0, 1, 1, 2, 8, 64, 1000)))
        match draw.randint(0, 4):
            case 0:
                data[start:end] = draw.randbytes(end - start)
            case 1:
                del data[start:end]
            case 2:
                data[start:start] = data[start:end]
            case 3:
                data[start:start] = draw.choice(
                    (b"\xff", b"\x00", b"\xed\xa0\xbd", b"NaN", b"}", b'"', b"\\", *DEEP)
                )
            case _:
                del data[start:]
    return bytes(data)


def changed(draw: random.Random, text: bytes) -> bytes:
    """A record that was changed somehow: what a fuzzer calls an input."""
    chance = draw.random()
    if chance < 0.7:
        # Some records are no JSON, and some changes make what JSON cannot hold.
        with suppress(ValueError):
            return changed_tree(draw, text)
    if chance < 0.97:
        return changed_bytes(draw, text)
    return draw.choice(
        (draw.choice(everything()), draw.choice(DEEP), draw.randbytes(40), b"[]", b"null", b"\xef\xbb\xbf")
    )


class Reasons(RejectLog):
    """Keeps the reasons of rejected records."""

    def __init__(self) -> None:
        super().__init__(None, limit=1.0)
        self.reasons: list[str] = []

    def reject(self, file: str, row: int, reason: str) -> None:
        self.reasons.append(reason)
        super().reject(file, row, reason)


def try_lines(name: str, seed: int, inputs: int, folder: Path) -> None:
    """Read a file of ``inputs`` changed records and a few good ones; raise BrokenPromiseError if it goes wrong."""
    draw = random.Random(seed)
    (format_,) = (found for found in line_formats() if found.name == name)
    units = list(corpus(name))
    # A copy of a good record with another reply would be told from it by nothing.
    good = [unit for unit in draw.sample(units, min(len(units) - 1, 3)) if unit.rows] or [
        u for u in units if u.rows
    ][:1]
    others = [text for unit in units if unit not in good for text in unit.texts] or list(good[0].texts)
    bad = [changed(draw, draw.choice(others)) for _ in range(inputs)]
    taken = frozenset().union(*(unit.keys for unit in good))
    if taken:
        bad = [text for text in bad if all(key_of(format_, line) not in taken for line in text.split(b"\n"))]
    lines = [*bad, *(text for unit in good for text in unit.texts)]
    draw.shuffle(lines)
    check_lines(name, lines, [row for unit in good for row in unit.rows], folder, draw)


def check_lines(
    name: str, lines: Sequence[bytes], expected: list[str], folder: Path, draw: random.Random
) -> None:
    """Read lines as a file of a format and hold what comes out against what must."""
    packed = draw.random() < 0.2
    file = folder / ("log.jsonl.gz" if packed else "log.jsonl")
    text = b"\n".join(lines) + b"\n"
    if text.startswith(MAGIC):
        return
    file.write_bytes(gzip.compress(text, 1) if packed else text)
    rejects = Reasons()
    try:
        batches = list(open_log([file], rejects=rejects, format=name, batch_rows=draw.choice((1, 7, 32_768))))
    except Exception as error:
        raise BrokenPromiseError(f"{name}: {type(error).__name__} where a good record was") from error
    for batch in batches:
        batch.validate(full=True)
        if not batch.schema.equals(EXCHANGE_SCHEMA):
            raise BrokenPromiseError(f"{name}: a batch of another schema")
    found = [row for batch in batches for row in rows_of(batch)]
    for row in expected:
        if row not in found:
            raise BrokenPromiseError(f"{name}: a good record was lost or read otherwise: {row[:300]}")
        found.remove(row)
    told = [reason for reason in (*rejects.reasons, *rejects.skipped, *rejects.nulled) if CANARY in reason]
    if told:
        raise BrokenPromiseError(f"{name}: a reason holds text of the record: {told[0]}")


@cache
def table_bytes() -> bytes:
    """A small table as Parquet."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.Table.from_batches([read_body(line_formats()[0], fixture(line_formats()[0].name)[0]).batch]), sink
    )
    written: bytes = sink.getvalue().to_pybytes()
    return written


@cache
def messages(name: str) -> tuple[bytes, ...]:
    """Binary files of a format, where its fixtures have any."""
    return tuple(path.read_bytes() for path in sorted((FIXTURES / name).glob("*.pb")))


def names_of_binaries() -> tuple[str, ...]:
    """Formats that are read from binary files."""
    return (NATIVE_TABLE.name, *(format_.name for format_ in line_formats() if messages(format_.name)))


def try_binary(name: str, seed: int, folder: Path) -> None:
    """Read a binary file with some bytes changed: rows of the schema, or a named error."""
    draw = random.Random(seed)
    table = name == NATIVE_TABLE.name
    file = folder / ("log.parquet" if table else "log.pb")
    file.write_bytes(changed_bytes(draw, table_bytes() if table else draw.choice(messages(name))))
    try:
        for batch in open_log([file], rejects=Reasons()):
            batch.validate(full=True)
    except LogError:
        return
    except Exception as error:
        raise BrokenPromiseError(f"{name}: {type(error).__name__} has no name of ours") from error

"""Exchange to sketch: the only code that sees text.

``sketch`` is a pure function of one record batch, the keys and the limits. A sketch holds keyed hashes of
what was said, the scores of the objective model, and what the log declares; no text can be read back from it.

A *fragment* is a run of words worth at least 60 units (five words, eight Han characters; see
:mod:`stillwatch.segment`), hashed with the key and its role, so that system prompts, tool definitions and new
text never meet. One fragment of any three neighbours is kept, the one with the smallest hash (winnowing:
Schleimer, Wilkerson & Aiken 2003), so a shared run of seven words or more is always seen, under every key.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stillwatch import fingerprint_kernel as kernel
from stillwatch.declared import declared, optional
from stillwatch.hashing import string_buffers
from stillwatch.keys import MARK_BYTES
from stillwatch.objective.classes import OBJECTIVES
from stillwatch.objective.model import load as load_objective
from stillwatch.ranges import places
from stillwatch.segment import normalise, tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stillwatch.keys import Keys

SKETCH_VERSION = 3
ROLES = ("system", "tools", "new", "earlier")
"""Parts of a request: ``new`` was not there in the previous exchange of the conversation, ``earlier`` are the
user's turns before it, kept only where a conversation begins in this log (worked examples of a template stand
there)."""

SYSTEM, TOOLS, NEW, EARLIER = range(4)
_PART = pa.struct([("role", pa.string()), ("fragments", pa.list_(pa.int64()))])

SKETCH_SCHEMA: pa.Schema = pa.schema(
    [
        ("exchange_id", pa.string()),
        ("account_id", pa.string()),
        ("end_user_id", pa.string()),
        ("principal", pa.int64()),
        ("at_us", pa.int64()),
        ("model", pa.string()),
        ("parts", pa.list_(_PART)),
        ("request_hash", pa.int64()),
        ("objective", pa.list_(pa.int8())),
        ("system_objective", pa.list_(pa.int8())),
        ("vocabulary", pa.list_(pa.int64())),
        ("circle", pa.list_(pa.int64())),
        ("circle_ip", pa.binary(MARK_BYTES)),
        ("conversation", pa.int64()),
        ("organization_id", pa.string()),
        ("account_created_us", pa.int64()),
        ("input_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("max_tokens", pa.int64()),
        ("temperature_milli", pa.int64()),
        ("sample_count", pa.int64()),
        ("top_logprobs", pa.int64()),
        ("country", pa.string()),
        ("asn", pa.int64()),
        ("ip", pa.int64()),
        ("network", pa.int64()),
        ("user_agent", pa.int64()),
        ("tls", pa.int64()),
        ("payment", pa.int64()),
        ("served", pa.bool_()),
        ("truncated", pa.int64()),
    ],
    metadata={b"stillwatch.sketch": str(SKETCH_VERSION).encode()},
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a sketch keeps of one text; whatever a limit cut off is counted in the column ``truncated``.

    ``text_bytes``: of a longer text, the first three quarters and the last quarter of so many bytes are read.
    ``prompt_fragments``: most fragments of a system prompt or tool definition, those with the smallest hashes
    (a bottom-k sketch, Broder 1997). ``vocabulary``: words of new text with the smallest keyed hashes; of
    eight, a template's own words were most, and what a small campaign's evidence weighed hung on the key.
    """

    text_bytes: int = 65_536
    prompt_fragments: int = 64
    earlier_fragments: int = 32
    vocabulary: int = 24


DEFAULT_LIMITS = Limits()


def sketch(batch: pa.RecordBatch, keys: Keys, limits: Limits = DEFAULT_LIMITS) -> pa.RecordBatch:
    """Sketch of ``batch`` (columns of ``EXCHANGE_SCHEMA``, n rows): a batch of ``SKETCH_SCHEMA``, n rows,
    same order.

    A missing optional column gives nulls. Pure: the same batch, keys and limits give the same bytes.
    """
    rows = batch.num_rows
    pieces = _pieces(batch, keys.pair("fragment"), limits)
    columns: dict[str, pa.Array] = {name: pa.nulls(rows, field.type) for name, field in _fields()}
    columns.update(declared(batch, keys))
    columns.update(pieces)
    if keys.circle is not None:
        columns.update(_for_circle(batch, keys, limits))
    return pa.RecordBatch.from_arrays([columns[field.name] for field in SKETCH_SCHEMA], schema=SKETCH_SCHEMA)


def fragments(
    roles: Sequence[str],
    contents: Sequence[str],
    tools: Sequence[str],
    keys: Keys,
    limits: Limits = DEFAULT_LIMITS,
) -> frozenset[int]:
    """Fragments of one request, those that its sketch would hold where no conversation is known to begin with it.

    ``roles`` and ``contents`` are of its messages in order, ``tools`` its definitions; a sketch of one row costs ten times
    as much.
    """
    codes = kernel.codes_of(roles)
    parts = kernel.select_parts(np.array([0, len(codes)]), codes, np.zeros(1, bool))
    chosen = [place for place, part in enumerate(parts.tolist()) if part in (SYSTEM, NEW)]
    bounds, data = _bytes_of([*(contents[place] for place in chosen), *tools])
    part_of = np.append(parts[chosen], np.full(len(tools), TOOLS, np.uint8)) if tools else parts[chosen]
    classes, fold = tables()
    key0, key1 = keys.pair("fragment")
    found = kernel.request_fragments(
        data, bounds, part_of, limits.prompt_fragments, limits.text_bytes, classes, fold, np.uint64(key0),
        np.uint64(key1),
    )  # fmt: skip
    return frozenset(found.tolist())


def _bytes_of(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Bounds and bytes of a few texts, normalised; where they are ASCII, arrays of Arrow would cost more than the sketch."""
    if not all(map(str.isascii, texts)):
        return string_buffers(normalise(pa.array(texts, pa.string())))
    bounds = np.array([0, *accumulate(map(len, texts))], np.int64)
    bounds.flags.writeable = False  # as those of Arrow are: the loops are compiled once
    return bounds, np.frombuffer("".join(texts).encode("ascii"), np.uint8)


def _fields() -> list[tuple[str, pa.Field]]:
    return [(field.name, field) for field in SKETCH_SCHEMA]


@dataclass(frozen=True, slots=True)
class _Texts:
    """Sketches of m texts: CSR fragments and vocabulary, one hash and one row of scores each."""

    fragments: NDArray[np.int64]
    bounds: NDArray[np.int64]
    objective: NDArray[np.int8]
    vocabulary: NDArray[np.int64]
    vocabulary_bounds: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    truncated: NDArray[np.int64]


def _texts(texts: pa.Array, role: int, pair: tuple[int, int], limits: Limits, *, plain: bool) -> _Texts:
    """Fingerprint each of m texts, all of one role; ``plain``: fragments alone, no scores and no vocabulary."""
    return _sketched(*string_buffers(normalise(texts)), role, pair, limits, plain=plain)


def _sketched(
    bounds: NDArray[np.int64], data: NDArray[np.uint8], role: int, pair: tuple[int, int], limits: Limits, *,
    plain: bool,
) -> _Texts:  # fmt: skip
    """The same of texts ``data[bounds[i]:bounds[i + 1]]`` that are normalised."""
    classes, fold = tables()
    model = load_objective()
    key0, key1 = pair
    keep = {NEW: 0, EARLIER: limits.earlier_fragments}.get(role, limits.prompt_fragments)
    # Worked examples were new text when the conversation began: they share its hashes.
    tag = NEW if role == EARLIER else role
    return _Texts(
        *kernel.sketch_texts(
            data, bounds, np.uint64(tag + 1), keep, role == NEW, role in (NEW, SYSTEM) and not plain,
            limits.text_bytes, 0 if plain else limits.vocabulary, classes, fold, np.uint64(key0),
            np.uint64(key1), model.weights, model.bias,
        )
    )  # fmt: skip


def _for_circle(batch: pa.RecordBatch, keys: Keys, limits: Limits) -> dict[str, pa.Array]:
    """What peers may compare: fragments of prompts, tools and new text, and the address, under the circle key.

    They are winnowed by their own hashes, so that peers choose the same ones; the role is in the hash.
    """
    parts = _pieces(batch, keys.circle_pair("fragment"), limits, plain=True)["parts"]
    fragments = pc.struct_field(parts.flatten(), "fragments")
    bounds = kernel.list_bounds(fragments)[kernel.list_bounds(parts)]
    columns = {"circle": pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), fragments.flatten())}
    if (address := optional(batch, "ip")) is not None:
        encoded = address.dictionary_encode()
        marks = [keys.mark("address", text) for text in encoded.dictionary.to_pylist()]
        columns["circle_ip"] = pa.array(marks, pa.binary(MARK_BYTES)).take(encoded.indices)
    return columns


def _pieces(
    batch: pa.RecordBatch, pair: tuple[int, int], limits: Limits, *, plain: bool = False
) -> dict[str, pa.Array]:
    """All that a sketch holds of the text: parts, hash of the request, objective scores, vocabulary.

    ``plain``: parts are all that is asked for, without earlier turns.
    """
    rows = batch.num_rows
    messages = batch["messages"]
    content = pc.fill_null(pc.struct_field(messages.flatten(), "content"), "")
    role_of_message = kernel.role_codes(pc.struct_field(messages.flatten(), "role"))
    offsets = kernel.list_bounds(messages)
    opening = _opens_conversation(batch)
    role_of_message = kernel.select_parts(offsets, role_of_message, opening)
    row_of_message = np.repeat(np.arange(rows), np.diff(offsets))
    piece_rows, piece_roles, piece_texts, sketched = [], [], [], []
    shift = 0
    for role in (SYSTEM, TOOLS, NEW) if plain else (SYSTEM, TOOLS, NEW, EARLIER):
        if role == TOOLS:
            tools = optional(batch, "tools")
            if tools is None:
                continue
            texts, row = tools.flatten(), np.repeat(np.arange(rows), np.diff(kernel.list_bounds(tools)))
            texts = pc.fill_null(texts, "")
        else:
            chosen = role_of_message == role
            texts, row = content.filter(pa.array(chosen)), row_of_message[chosen]
        if not len(texts):
            continue
        index = np.arange(len(texts))
        if role in (SYSTEM, TOOLS):  # repeated by every exchange of a client: read each once
            encoded = texts.dictionary_encode()
            texts, index = encoded.dictionary, encoded.indices.to_numpy()
        sketched.append(_texts(texts, role, pair, limits, plain=plain))
        piece_rows.append(row)
        piece_roles.append(np.full(len(row), role))
        piece_texts.append(index + shift)
        shift += len(texts)
    if not sketched:
        none = np.empty(0, np.int64)
        return _assemble(rows, none, none, none, _empty_texts())
    row_of_piece, role_of_piece = np.concatenate(piece_rows), np.concatenate(piece_roles)
    return _assemble(rows, row_of_piece, role_of_piece, np.concatenate(piece_texts), _join(sketched))


def _opens_conversation(batch: pa.RecordBatch) -> NDArray[np.bool_]:
    """True where an exchange may be the first of its conversation in the log, as far as this batch can
    tell."""
    conversation = optional(batch, "conversation_id")
    if conversation is None:
        return np.zeros(batch.num_rows, bool)
    codes = batch["account_id"].dictionary_encode().indices.to_numpy().astype(np.int64) << 32
    named = conversation.is_valid().to_numpy(zero_copy_only=False)
    codes += conversation.dictionary_encode().indices.fill_null(0).to_numpy()
    at = batch["started_at"].cast(pa.int64()).to_numpy()
    order = np.lexsort((at, codes))
    first_at = np.empty(batch.num_rows, np.int64)
    starts = np.flatnonzero(np.r_[True, codes[order][1:] != codes[order][:-1]]) if len(order) else order
    first_at[order] = np.repeat(at[order][starts], np.diff(np.r_[starts, len(order)]))
    opens: NDArray[np.bool_] = named & (at == first_at)
    return opens


def _empty_texts() -> _Texts:
    none = np.empty(0, np.int64)
    return _Texts(
        none,
        np.zeros(1, np.int64),
        np.empty((0, len(OBJECTIVES)), np.int8),
        none,
        np.zeros(1, np.int64),
        none.astype(np.uint64),
        none,
    )


def _join(parts: list[_Texts]) -> _Texts:
    def bounds(values: list[NDArray[np.int64]]) -> NDArray[np.int64]:
        lengths = np.concatenate([np.diff(value) for value in values])
        result: NDArray[np.int64] = np.r_[0, np.cumsum(lengths)].astype(np.int64)
        return result

    return _Texts(
        np.concatenate([part.fragments for part in parts]),
        bounds([part.bounds for part in parts]),
        np.concatenate([part.objective for part in parts]),
        np.concatenate([part.vocabulary for part in parts]),
        bounds([part.vocabulary_bounds for part in parts]),
        np.concatenate([part.hashes for part in parts]),
        np.concatenate([part.truncated for part in parts]),
    )


def _gather(
    values: NDArray[Any], bounds: NDArray[np.int64], index: NDArray[np.int64]
) -> tuple[Any, NDArray[np.int64]]:
    """Concatenate the CSR runs ``index`` of ``values``; returns them and the length of each."""
    return values[places(bounds[index], bounds[index + 1])], np.diff(bounds)[index]


def _assemble(
    rows: int,
    piece_row: NDArray[np.int64],
    piece_role: NDArray[np.int64],
    piece_text: NDArray[np.int64],
    texts: _Texts,
) -> dict[str, pa.Array]:
    """Bring the pieces (one a message or tool) into rows: parts in the order of ``ROLES``, pieces in their
    own."""
    group = piece_row * len(ROLES) + piece_role
    order = np.argsort(group, kind="stable")
    group, piece_text = group[order], piece_text[order]
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]]) if len(group) else group
    part_row, part_role = group[starts] // len(ROLES), group[starts] % len(ROLES)
    fragments, lengths = _gather(texts.fragments, texts.bounds, piece_text)
    part_bounds = np.r_[0, np.cumsum(np.add.reduceat(lengths, starts) if len(starts) else lengths)]
    row_bounds = np.searchsorted(part_row, np.arange(rows + 1))
    part_values = pa.StructArray.from_arrays(
        [
            pa.array(ROLES).take(pa.array(part_role)),
            pa.ListArray.from_arrays(pa.array(part_bounds, pa.int32()), pa.array(fragments)),
        ],
        fields=list(_PART),
    )
    hashes, truncated = np.zeros(rows, np.uint64), np.zeros(rows, np.int64)
    asked = group % len(ROLES) != EARLIER
    np.add.at(hashes, (group // len(ROLES))[asked], texts.hashes[piece_text[asked]])
    np.add.at(truncated, group // len(ROLES), texts.truncated[piece_text])
    scores = (
        np.maximum.reduceat(texts.objective[piece_text], starts, axis=0) if len(starts) else texts.objective
    )
    new = group % len(ROLES) == NEW
    words, word_counts = _gather(texts.vocabulary, texts.vocabulary_bounds, piece_text[new])
    per_row = np.bincount((group // len(ROLES))[new], weights=word_counts, minlength=rows).astype(np.int64)
    return {
        "parts": pa.ListArray.from_arrays(pa.array(row_bounds, pa.int32()), part_values),
        "request_hash": pa.array(hashes.view(np.int64)),
        "objective": _score_column(rows, scores, part_row, part_role == NEW),
        "system_objective": _score_column(rows, scores, part_row, part_role == SYSTEM),
        "vocabulary": pa.ListArray.from_arrays(
            pa.array(np.r_[0, np.cumsum(per_row)], pa.int32()), pa.array(words)
        ),
        "truncated": pa.array(truncated),
    }


def _score_column(
    rows: int, scores: NDArray[np.int8], part_row: NDArray[np.int64], chosen: NDArray[np.bool_]
) -> pa.Array:
    table = np.zeros((rows, len(OBJECTIVES)), np.int8)
    table[part_row[chosen]] = scores[chosen]
    bounds = pa.array(np.arange(rows + 1) * len(OBJECTIVES), pa.int32())
    return pa.ListArray.from_arrays(bounds, pa.array(table.ravel()))

"""Examples of a campaign's exchanges: what its principals share is shown, what fills the slots is masked.

The text is read a second time, for these few exchanges alone. Only runs of words that at least as many
principals share as make a family are shown; everything else is a mask with its length, unless the text was
asked for. Addresses, keys, phone and card numbers are redacted in either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stillwatch import fingerprint_kernel as kernel
from stillwatch.exchange import COLUMNS
from stillwatch.fingerprint import NEW, ROLES, SYSTEM, Limits
from stillwatch.redaction import Found, find
from stillwatch.rejects import RejectLog
from stillwatch.segment import normalise, segment, tables

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.keys import Keys
    from stillwatch.sketching import Source

MASK = "▇▇▇"
LONGEST = 600
"""Characters of one run that an example shows."""
UNREAD = frozenset(column.name for column in COLUMNS if not column.required)
"""Columns of the log that an example shows nothing of."""
READ = Limits().text_bytes
"""Bytes of one text that are looked at: of what lies beyond no fragment was read either."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Examples of one campaign."""

    exchange_ids: tuple[str, ...]
    fragments: NDArray[np.int64]
    """Fragments of the campaign's families."""


def collect(
    source: Source, keys: Keys, wanted: Mapping[int, Wanted], show_text: bool
) -> dict[int, list[dict[str, Any]]]:
    """Examples of each campaign, in the order that ``wanted`` names them; stops reading when it has them
    all."""
    campaign_of = {name: number for number, want in wanted.items() for name in want.exchange_ids}
    found: dict[str, list[dict[str, Any]]] = {}
    names = pa.array(sorted(campaign_of), pa.string())
    for batch in source.exchanges(RejectLog(None, limit=1.0), unread=UNREAD):
        chosen = pa.compute.is_in(batch["exchange_id"], value_set=names)
        if pa.compute.any(chosen).as_py():
            for row in batch.filter(chosen).to_pylist():
                fragments = wanted[campaign_of[row["exchange_id"]]].fragments
                found.setdefault(row["exchange_id"], _examples(row, fragments, keys, show_text))
        if len(found) == len(campaign_of):
            break
    return {
        number: [turn for name in want.exchange_ids for turn in found.get(name, [])]
        for number, want in wanted.items()
    }


def _examples(
    row: Mapping[str, Any], fragments: NDArray[np.int64], keys: Keys, show_text: bool
) -> list[dict[str, Any]]:
    """The turns of one exchange that hold text of the campaign's families."""
    messages = row["messages"]
    roles = kernel.role_codes(pa.array([message["role"] for message in messages], pa.string()))
    parts = kernel.select_parts(np.array([0, len(messages)]), roles, np.zeros(1, bool))
    turns = []
    for message, part in zip(messages, parts.tolist(), strict=True):
        if part in (SYSTEM, NEW) and message["content"]:
            runs = spans(message["content"], part, fragments, keys, show_text)
            if any(run["shared"] for run in runs):
                turns.append({"exchange_id": row["exchange_id"], "role": ROLES[part], "spans": runs})
    return turns


def spans(
    text: str, role: int, fragments: NDArray[np.int64], keys: Keys, show_text: bool = False
) -> list[dict[str, Any]]:
    """The text in runs: ``{"text": ..., "shared": bool}``; a run that is not shared is a mask unless
    ``show_text``. What is not to be shown is found in the whole text, so that it may reach over several runs."""
    normal = normalise(pa.array([text]))[0].as_py()
    beyond = max(len(normal.encode()) - READ, 0)
    normal = normal.encode()[:READ].decode("utf-8", "ignore")
    data = np.frombuffer(normal.encode(), np.uint8)
    classes, fold = tables()
    size = len(data) + 1
    words, units, opens = np.empty(size, np.uint64), np.empty(size, np.uint8), np.empty(size, np.uint8)
    ends = np.empty(size, np.int64)
    count = segment(data, 0, len(data), classes, fold, words, units, opens, ends)
    if count == 0:
        return [{"text": MASK, "shared": False}]
    key0, key1 = keys.pair("fragment")
    runs = np.empty(size, np.int64)
    found = kernel.windows(
        words, units, count, np.uint64(key0), np.uint64(key1), np.uint64(role + 1), role != NEW, runs
    )
    shared = np.zeros(count, bool)
    known = np.isin(runs[:found], fragments)
    for start in np.flatnonzero(known).tolist():
        stop, worth = start, 0
        while stop < count and worth < kernel.FRAGMENT_UNITS:
            worth += int(units[stop])
            stop += 1
        shared[start:stop] = True
    result = _runs(data, ends[:count], shared, _in_bytes(normal), show_text)
    if beyond:
        result.append({"text": f" {MASK} ({beyond:,} bytes that were not read)", "shared": False})
    return result


def _in_bytes(text: str) -> list[Found]:
    """What is not to be shown of a text, by its bytes instead of its characters."""
    places = np.cumsum([0, *(len(letter.encode()) for letter in text)])
    return [Found(int(places[one.start]), int(places[one.end]), one.kind) for one in find(text)]


def _runs(
    data: NDArray[np.uint8],
    ends: NDArray[np.int64],
    shared: NDArray[np.bool_],
    hidden: list[Found],
    show_text: bool,
) -> list[dict[str, Any]]:
    edges = np.flatnonzero(np.r_[True, shared[1:] != shared[:-1], True])
    result = []
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        first = 0 if start == 0 else int(ends[start - 1])
        last = len(data) if stop == len(ends) else int(ends[stop - 1])
        if shared[start] or show_text:
            text = _without(data, first, last, hidden)
            if len(text) > LONGEST:
                text = f"{text[:LONGEST]} … ({len(text) - LONGEST:,} more characters)"
        else:
            text = f" {MASK} ({stop - start} word{'s' if stop - start > 1 else ''}) "
        result.append({"text": text, "shared": bool(shared[start])})
    return result


def _without(data: NDArray[np.uint8], first: int, last: int, hidden: list[Found]) -> str:
    """The bytes from ``first`` to ``last`` as text; each run that a hidden stretch touches names its kind."""
    parts, at = [], first
    for one in hidden:
        if one.end > at and one.start < last:
            parts += [bytes(data[at : max(one.start, at)]).decode("utf-8", "replace"), one.placeholder]
            at = min(one.end, last)
    parts.append(bytes(data[at:last]).decode("utf-8", "replace"))
    return "".join(parts)

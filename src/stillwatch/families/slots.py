"""What fills the slots of a family's template: the new text of its exchanges that is not the family's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import pyarrow as pa

from stillwatch.families.fragments import Dictionary, parts_of, slot_of
from stillwatch.fingerprint import NEW
from stillwatch.spool import between

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.families.assign import Families


def slots(
    batches: Iterable[pa.RecordBatch], families: Families, chosen: NDArray[np.bool_], keep: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """What fills the slots of the ``chosen`` families, ``keep`` fragments of each exchange at most: new text that is not the
    family's own. Membership and fragment, int32[k] and int64[k].

    ``chosen``: bool[f]; ``batches``: those that the families were found in.
    """
    fragments, family_of_fragment = families.fragments, families.fragment_family
    member = np.flatnonzero(chosen[families.family]).astype(np.int32)
    row, family = families.row[member], families.family[member]
    numbering = Dictionary(1 << int(2 * len(fragments) + 1).bit_length())
    order = numbering.encode(fragments)
    family_of_code = np.empty(len(fragments), np.int32)
    family_of_code[order] = family_of_fragment
    # As large as they may become: what is not written takes no memory.
    owners, fills = np.empty(keep * len(member), np.int32), np.empty(keep * len(member), np.int64)
    start = end = 0
    for batch in batches:
        first, last = between(row, start, start + batch.num_rows)
        if first < last:
            owner, fill = _fill_batch(
                row[first:last] - start,
                family[first:last],
                parts_of(batch),
                *numbering.slots,
                family_of_code,
                keep,
            )
            owners[end : end + len(owner)] = member[owner + first]
            fills[end : end + len(fill)] = fill
            end += len(fill)
        start += batch.num_rows
    return owners[:end], fills[:end]


@numba.njit(inline="always", cache=True)
def _new_text(parts: Any, row: int) -> Any:
    """Where the fragments of a row's new text begin and end."""
    for piece in range(parts.row_bounds[row], parts.row_bounds[row + 1]):
        if parts.role[piece] == NEW:
            return parts.bounds[piece], parts.bounds[piece + 1]
    return 0, 0


@numba.njit(nogil=True, cache=True)
def _fill_batch(  # noqa: PLR0912 - one compiled loop
    rows: Any, families: Any, parts: Any, keys: Any, codes: Any, family_of_code: Any, keep: int
) -> Any:
    """The ``keep`` smallest fragments that lie clear of the family's own, or, failing those, beside them."""
    owners, fills = np.empty(len(rows) * keep, np.int64), np.empty(len(rows) * keep, np.int64)
    values = parts.values
    own = np.empty(1 << 10, np.int32)
    count = 0
    before = -1
    start, stop = 0, 0
    for member in range(len(rows)):
        if rows[member] != before:  # family of each fragment of the new text, looked up once a row
            before = rows[member]
            start, stop = _new_text(parts, before)
            if stop - start > len(own):
                own = np.empty(2 * (stop - start), np.int32)
            for at in range(start, stop):
                code = codes[slot_of(keys, codes, values[at])]
                own[at - start] = family_of_code[code] if code >= 0 else -1
        for margin in (2, 0):  # a run of words over the edge of a slot holds words of the template too
            opened = count
            for at in range(start, stop):
                clear = True
                for beside in range(max(start, at - margin), min(stop, at + margin + 1)):
                    if own[beside - start] == families[member]:
                        clear = False
                        break
                if not clear:
                    continue
                value = values[at]
                spot = count
                known = False
                while spot > opened and fills[spot - 1] >= value:
                    spot -= 1
                    if fills[spot] == value:
                        known = True
                        break
                if known or (count - opened == keep and spot == count):
                    continue
                if count - opened < keep:
                    count += 1
                for move in range(count - 1, spot, -1):
                    fills[move] = fills[move - 1]
                fills[spot] = value
            for entry in range(opened, count):
                owners[entry] = member
            if count > opened:
                break
    return owners[:count], fills[:count]

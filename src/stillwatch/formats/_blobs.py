"""Which texts hold a long run of base64, told by a look at few of their bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import pyarrow as pa

from stillwatch.formats._content import BLOB_CHARACTERS
from stillwatch.hashing import string_buffers

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OF_BASE64 = np.zeros(256, np.bool_)
_OF_BASE64[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")] = True


def holds_blob(texts: pa.Array) -> NDArray[np.bool_]:
    """Which of n texts hold so many characters of base64 in a row: bool[n]; a null holds nothing.

    >>> holds_blob(pa.array(["A" * 200, "A" * 199 + " A", None])).tolist()
    [True, False, False]
    """
    bounds, data = string_buffers(texts.fill_null("") if texts.null_count else texts)
    found: NDArray[np.bool_] = _holds(data, bounds, _OF_BASE64, BLOB_CHARACTERS)
    return found


@numba.njit(nogil=True, cache=True)
def _holds(data: Any, bounds: Any, inside: Any, least: int) -> Any:
    """Any run of ``least`` covers every ``least``-th byte, so only these are looked at (after Boyer & Moore 1977)."""
    found = np.zeros(len(bounds) - 1, np.bool_)
    for text in range(len(found)):
        lowest, stop = bounds[text], bounds[text + 1]
        at = lowest + least - 1
        while at < stop:
            if inside[data[at]]:
                start, end = at, at + 1
                while start > lowest and inside[data[start - 1]]:
                    start -= 1
                while end < stop and end - start < least and inside[data[end]]:
                    end += 1
                if end - start >= least:
                    found[text] = True
                    break
                lowest = at = end
            at += least
    return found

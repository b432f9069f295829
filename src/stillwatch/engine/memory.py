"""How much memory a scan may take, and what of it goes where."""

from __future__ import annotations

import ctypes
import re
from contextlib import suppress

from stillwatch.engine.base import EngineError

DEFAULT = "6GB"
LEAST = 10**9
"""Bytes below which nothing can be kept to: Python, its libraries and compiled code take some 650 MB of any scan."""

_UNITS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
}
_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?\s*", re.IGNORECASE)

ENGINE_SHARE = 8
"""One in how many bytes goes to the statistics engine; the rest is arrays of the log, and what libraries hold."""

BYTES_OF_A_MEMBER = 2_500
"""Bytes of the whole for each exchange of the streams that are measured together: their tables take some 350."""

COUNTED_AT_ONCE = 1 << 22
"""Memberships that are counted at a time: what is made of all of a large log's at once stands beside everything else."""

LEAST_SLOTS, SLOT_BYTES, SLOT_SHARE = 1 << 26, 2, 12
"""Presence of fragments: slots at least, bytes of each, and one in how many bytes that they may take."""

FRAGMENTS_A_BYTE = 16
"""Bytes of a log for each slot: compressed Parquet of short prompts has one new fragment in some twenty-five."""


def amount(text: str) -> int:
    """Bytes that a text such as ``4GB`` or ``512MiB`` names.

    >>> amount("4GB"), amount("1.5 GiB"), amount("3000m")
    (4000000000, 1610612736, 3000000000)
    """
    found = _AMOUNT.fullmatch(text)
    size = float(found[1]) * _UNITS[(found[2] or "").lower()] if found else 0
    if size < 1:
        raise EngineError(f"{text!r} is no amount of memory; give one such as 2GB with --memory")
    if size < LEAST:
        raise EngineError(f"{text} is less than any scan takes; give 1GB or more with --memory")
    return int(size)


def return_what_is_freed() -> None:
    """Have Arrow give freed memory back to the system soon; its usual allocator keeps several times what is in use. What the
    C library keeps goes back at once, where it can."""
    with suppress(NotImplementedError):  # a build without it
        import pyarrow as pa

        pa.set_memory_pool(pa.jemalloc_memory_pool())
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def presence_slots(memory: int, log_bytes: int) -> int:
    """Slots for the presence of the fragments of a log: more for a larger one, as far as the memory goes.

    >>> presence_slots(6_000_000_000, 10_000_000) == LEAST_SLOTS
    True
    >>> presence_slots(4_000_000_000, 3_300_000_000) == 1 << 27
    True
    """
    slots = LEAST_SLOTS
    while slots * FRAGMENTS_A_BYTE < log_bytes and 2 * slots * SLOT_BYTES * SLOT_SHARE <= memory:
        slots *= 2
    return slots

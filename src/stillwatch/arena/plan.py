"""The plan of a log: one row an exchange, everything but its text.

Rows of one conversation lie side by side in order of turns, so that the history of row i is rows
i - turn to i - 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Plan = dict[str, Array]

FIELDS: Mapping[str, tuple[str, Any]] = {
    # name: (dtype, value where a population says nothing)
    "principal": ("int32", -1),
    "at": ("int64", 0),  # microseconds since the start of the log
    "population": ("int16", 0),
    "operator": ("int16", -1),
    "template": ("int32", -1),
    "extraction": ("bool", False),
    "conversation": ("int64", -1),  # shown in the log where it is not negative
    "turn": ("int16", 0),
    "system": ("int32", -1),  # frame
    "request": ("int32", 0),  # frame of the new text
    "reply": ("int32", 0),  # frame
    "tools": ("int32", -1),  # number of a set of tools
    "role": ("int8", 0),  # of the new text: 0 user, 1 tool
    "profile": ("int64", 0),  # whose vocabulary fills the passages
    "wording_seed": ("uint64", 0),
    "filling_seed": ("uint64", 0),
    "wordings": ("int8", 1),
    "new_model": ("bool", False),
    "temperature": ("float32", np.nan),
    "sample_count": ("int16", 0),  # 0: not said
    "top_logprobs": ("int16", 0),  # 0: not said
    "max_tokens": ("int32", 0),  # 0: not said
}


def plan(count: int, **columns: Any) -> Plan:
    """Rows with these columns; single values are repeated."""
    unknown = set(columns) - set(FIELDS)
    if unknown:
        raise TypeError(f"no such column of a plan: {', '.join(sorted(unknown))}")
    return {
        name: np.broadcast_to(np.asarray(columns.get(name, default)).astype(dtype), (count,)).copy()
        for name, (dtype, default) in FIELDS.items()
    }


def concatenate(plans: Sequence[Plan]) -> Plan:
    """One plan out of several."""
    if not plans:
        return plan(0)
    return {name: np.concatenate([part[name] for part in plans]) for name in FIELDS}


def rows_of(part: Plan) -> int:
    """Rows of a plan."""
    return len(part["at"])

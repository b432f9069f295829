"""Resident memory of processes over time, and whether it stays where it was."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
GROWTH, GROWTH_MIB = 0.05, 16.0
"""How much more the last third may take than the one in the middle: a share of it, and this besides, in MiB."""


@dataclass(frozen=True)
class Memory:
    """What a process took over a run, in MiB."""

    start: float
    """When the first third was over: caches are filled, loops are loaded."""
    middle: float
    """Median of the second third."""
    last: float
    """Median of the last third."""
    peak: float

    @property
    def flat(self) -> bool:
        """Whether the last third takes what the one before took."""
        return self.last <= self.middle * (1 + GROWTH) + GROWTH_MIB


def memory(samples: Sequence[float]) -> Memory:
    """Of samples in MiB at equal distances of time; of less than six nothing can be said, and they raise ``ValueError``."""
    if len(samples) < 6:
        raise ValueError(f"{len(samples)} samples are too few to tell whether memory grows")
    third = len(samples) // 3
    return Memory(
        samples[third],
        statistics.median(samples[third : 2 * third]),
        statistics.median(samples[2 * third :]),
        max(samples),
    )


def resident(process: int) -> float:
    """Resident memory of a process in MiB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def below(process: int) -> list[int]:
    """Processes that a process has started."""
    return [
        int(child)
        for task in Path(f"/proc/{process}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


class Sampling:
    """Looks at a process every so many seconds, from a thread of its own, until it is left."""

    def __init__(self, process: int, every_s: float, told: Callable[[float], None] | None = None) -> None:
        self._process, self._every_s, self._told = process, every_s, told
        self._stop = threading.Event()
        self.samples: list[float] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Sampling:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += self._every_s
            try:
                self.samples.append(resident(self._process))
            except (OSError, IndexError):
                return  # it ended
            if self._told is not None:
                self._told(self.samples[-1])

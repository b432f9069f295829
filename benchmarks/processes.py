"""A command in a process of its own: its wall time, processor time and peak memory, children included."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Usage:
    """What a command used."""

    wall_s: float
    cpu_s: float
    """User and system time of the process and its children."""

    peak_bytes: int
    """Largest resident memory of all its processes together, looked at every ``POLL_S``, or of the largest of them as
    the system counted it, where that is more. Pages that processes share count once for each."""

    output: str
    """What it printed."""


def measure(command: Sequence[str], environment: dict[str, str] | None = None) -> Usage:
    """Run a command and wait for it; raises ``RuntimeError`` with its last words where it fails."""
    started = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True
    ) as process:
        printed: list[str] = []
        assert process.stdout is not None
        reader = threading.Thread(target=lambda stream=process.stdout: printed.extend(stream))
        reader.start()
        peak = 0
        while True:
            done, status, used = os.wait4(process.pid, os.WNOHANG)
            if done:
                break
            peak = max(peak, sum(_resident(one) for one in _tree(process.pid)))
            time.sleep(POLL_S)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        reader.join()
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: {''.join(printed)[-2000:]}")
    return Usage(wall, used.ru_utime + used.ru_stime, max(peak, used.ru_maxrss * 1024), "".join(printed))


def _tree(root: int) -> list[int]:
    """A process and everything below it."""
    found, waiting = [], [root]
    while waiting:
        one = waiting.pop()
        found.append(one)
        try:
            for task in Path(f"/proc/{one}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue  # it ended meanwhile
    return found


def _resident(process: int) -> int:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")

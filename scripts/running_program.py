"""Other programs on loopback: started, waited for, stopped; they see nothing of this process's environment."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 600


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str | Path], directory: Path, ready: str, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a folder until ``ready`` answers; what it says goes to a file there."""
    output = directory / f"{Path(command[0]).name}-{len(list(directory.glob('*.log')))}.log"
    settings = {"PATH": os.environ.get("PATH", ""), "HOME": str(directory), "NO_PROXY": "127.0.0.1"}
    with output.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=directory, env=settings | environment, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        wait_until_ready(ready, process, output)
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=20)


def wait_until_ready(
    url: str, process: subprocess.Popen[bytes], output: Path, seconds: int = START_SECONDS
) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    tail = output.read_text(errors="replace")[-2000:]
    raise SystemExit(f"{url} did not answer within {seconds} s; its last words:\n{tail}")

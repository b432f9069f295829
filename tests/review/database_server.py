"""A real PostgreSQL of one's own, in a folder of its own, gone afterwards."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path


class MissingServerError(Exception):
    """PostgreSQL or its driver is not installed."""


def _program(name: str) -> Path | None:
    places = [Path(found)] if (found := shutil.which(name)) else []
    places += sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return next((place for place in places if (place.resolve().parent / "postgres").exists()), None)


@contextmanager
def postgres_server(*, syncs: bool = False) -> Iterator[str]:
    """The URL of its database; ``syncs``: it writes to the disk as one in earnest does."""
    made, server = _program("initdb"), _program("pg_ctl")
    if made is None or server is None:
        raise MissingServerError("PostgreSQL is not installed")
    if find_spec("psycopg") is None:
        raise MissingServerError("the driver of PostgreSQL is not installed (the extra [postgres])")
    # PostgreSQL does not run as root.
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="stillwatch-pg-") as name:
        folder = Path(name)
        if user:
            shutil.chown(folder, user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        data, log = folder / "data", folder / "log"
        init: list[str | Path] = [
            made,
            "--pgdata",
            data,
            "--username",
            "tester",
            "--auth",
            "trust",
            "--no-sync",
            "--locale",
            "C.UTF-8",
        ]
        subprocess.run(init, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL, timeout=120)
        fsync = "on" if syncs else "off"
        options = (
            f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync={fsync} -c max_connections=120"
        )
        begin: list[str | Path] = [server, "start", "-w", "-D", data, "-l", log, "-o", options]
        subprocess.run(begin, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL, timeout=120)
        try:
            yield f"postgresql://tester@127.0.0.1:{port}/postgres"
        finally:
            stop: list[str | Path] = [server, "stop", "-D", data, "-m", "immediate"]
            subprocess.run(stop, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL, timeout=60)

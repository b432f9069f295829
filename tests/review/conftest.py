"""Every test of the store runs on SQLite, and on a real PostgreSQL where one is installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from stillwatch.store.database import Store, open_store


def _program(name: str) -> Path | None:
    places = [Path(found)] if (found := shutil.which(name)) else []
    places += sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return next((place for place in places if (place.resolve().parent / "postgres").exists()), None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a server of its own, in a folder of its own, gone afterwards."""
    made, server = _program("initdb"), _program("pg_ctl")
    if made is None or server is None:
        pytest.skip("PostgreSQL is not installed")
    if find_spec("psycopg") is None:
        pytest.skip("the driver of PostgreSQL is not installed (the extra [postgres])")
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
        init = [
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
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off -c max_connections=120"
        begin = [server, "start", "-w", "-D", data, "-l", log, "-o", options]
        subprocess.run(begin, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL, timeout=120)
        try:
            yield f"postgresql://tester@127.0.0.1:{port}/postgres"
        finally:
            stop = [server, "stop", "-D", data, "-m", "immediate"]
            subprocess.run(stop, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL, timeout=60)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty store may be made."""
    if request.param == "sqlite":
        return str(tmp_path / "review.db")
    url: str = request.getfixturevalue("postgres")  # skips where there is none
    import psycopg

    name = f"t{abs(hash(request.node.nodeid)):x}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}"')
    return url.removesuffix("postgres") + name


@pytest.fixture
def store(place: str) -> Iterator[Store]:
    opened = open_store(place)
    yield opened
    opened.close()

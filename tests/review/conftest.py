"""Every test of the store runs on SQLite, and on a real PostgreSQL where one is installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from stillwatch.store.database import Store, open_store
from tests.review.database_server import MissingServerError, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a server of its own; skips where there is none."""
    try:
        with postgres_server() as url:
            yield url
    except MissingServerError as error:
        pytest.skip(str(error))


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


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of SQLite that holds nothing: every migration takes longer than most tests."""
    file = tmp_path_factory.mktemp("store") / "review.db"
    open_store(str(file)).close()
    return file


@pytest.fixture
def store(place: str, empty: Path) -> Iterator[Store]:
    if "://" not in place:
        shutil.copy(empty, place)
    opened = open_store(place)
    yield opened
    opened.close()

"""One service for the tests of a file; each leaves it as it was."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.gateway.watching import Watch, watch


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    with watch(tmp_path_factory.mktemp("watch"), "--most-bytes", "200000") as running:
        yield running


@pytest.fixture
def service(shared: Watch) -> Iterator[Watch]:
    """The service, with no decision left from another test."""
    yield shared
    from stillwatch.store.tables import decisions

    with shared.store.reading() as connection:
        standing = [
            row.id for row in connection.execute(decisions.select().where(decisions.c.state == "standing"))
        ]
    for number in standing:
        shared.undo(number)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """The service sends the logs of its process to standard error; a command that runs in this one must not."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)

"""The way of a campaign from one house to another, through a TAXII server that really runs."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("stix2")
pytest.importorskip("medallion")
pytest.importorskip("sqlalchemy")

from stillwatch.cli import app
from stillwatch.share import ShareError
from stillwatch.share.taxii import Collection
from stillwatch.store.audit import entries, verify
from stillwatch.store.database import open_store
from tests.share.conftest import CIRCLE, House
from tests.share.test_formats import found_of

NAME = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"
USER, PASSWORD = "peer", "a password for tests"
PAGE = 25


@dataclass(frozen=True)
class Server:
    """A running medallion."""

    url: str
    port: int


def configured(folder: Path) -> Path:
    """A server with one empty collection, which hands out little at a time."""
    collection = {
        "id": NAME, "title": "a circle", "can_read": True, "can_write": True, "objects": [], "manifest": [],
        "media_types": ["application/stix+json;version=2.1"],
    }  # fmt: skip
    information = {
        "title": "circle",
        "versions": ["application/taxii+json;version=2.1"],
        "max_content_length": 1 << 26,
    }
    data = {
        "/discovery": {"title": "circle", "default": "http://127.0.0.1/circle/", "api_roots": ["http://127.0.0.1/circle/"]},
        "circle": {"information": information, "status": [], "collections": [collection]},
    }  # fmt: skip
    (folder / "data.json").write_text(json.dumps(data))
    module, kind = "medallion.backends.memory_backend", "MemoryBackend"
    backend = {"module": module, "module_class": kind, "filename": str(folder / "data.json")}
    told = {"backend": backend, "users": {USER: PASSWORD}, "taxii": {"max_page_size": PAGE}}
    (folder / "medallion.json").write_text(json.dumps(told))
    return folder / "medallion.json"


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("medallion")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "medallion.scripts.run", "--port", str(port), str(configured(folder))]
    with (folder / "output").open("wb") as output:
        running = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        end = time.monotonic() + 60
        while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
            assert running.poll() is None, (folder / "output").read_text()
            assert time.monotonic() < end, "medallion did not start"
            time.sleep(0.1)
        yield Server(f"http://127.0.0.1:{port}/circle/collections/{NAME}/", port)
    finally:
        running.terminate()
        running.wait(timeout=30)


def told(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(
        app, [str(one) for one in arguments], env={"STILLWATCH_TAXII_PASSWORD": PASSWORD}
    )
    if done.exception and not isinstance(done.exception, SystemExit):
        if code == 0:
            raise done.exception
        return str(done.exception)
    assert done.exit_code == code, done.output
    return done.output


def campaigns(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "campaigns.json").read_text("utf-8"))
    return found


def test_one_shared_template_finds_the_same_operator_in_another_house(
    server: Server, loud: House, quiet: House, tmp_path: Path
) -> None:
    (tmp_path / "circle.key").write_bytes(CIRCLE)
    (tmp_path / "stranger.key").write_bytes(b"a stranger's key, of no circle")
    store = tmp_path / "review.db"
    taxii = ("--taxii-user", USER, "--store", store, "--by", "ann")

    # The first house has found a campaign and adds it to the collection.
    found_there = loud.folder / "result"
    (campaign,) = campaigns(found_there)
    assert campaign["verdict"] == "extraction"
    said = told(
        "export", found_there, campaign["campaign_id"], "--circle-key", tmp_path / "circle.key", "--as", "House A",
        "--valid", "3650d", "--taxii", server.url, *taxii,
    )  # fmt: skip
    assert "1 campaign and 0 answers at the TAXII server" in said
    assert PASSWORD not in said

    # What the server holds gives nothing of the log away.
    held = list(Collection(server.url, USER, PASSWORD).pull())
    assert len(held) > 2 * PAGE
    assert found_of(loud.log, json.dumps(held).encode()) == set()

    # The second house has a key of its own. By itself it would not accuse.
    assert [one["verdict"] for one in campaigns(quiet.folder / "result")] == ["undetermined"]
    peers = ("--into", tmp_path / "peers.json")
    said = told("import", server.url, "--circle-key", tmp_path / "circle.key", *peers, *taxii)
    assert said.startswith(
        "1 campaign of 1 peer with 1 template; 0 expired, 0 taken back, 0 under the key of another"
    )
    scanned = ("scan", quiet.log, "--peers", tmp_path / "peers.json")
    told(
        *scanned,
        "--key",
        tmp_path / "own.key",
        "--out",
        tmp_path / "b",
        "--circle-key",
        tmp_path / "circle.key",
    )
    (found,) = campaigns(tmp_path / "b")
    assert found["verdict"] == "extraction"
    assert {row["account_id"] for row in found["principals"]} <= quiet.operated
    assert found["peers"][0]["peer"] == "House A (TLP:AMBER)"
    explained = told("explain", tmp_path / "b", found["campaign_id"])
    assert "word of a peer" in explained

    # Whoever lacks the circle's key finds nothing: neither by importing, nor by scanning with what others imported.
    refused = told("import", server.url, "--circle-key", tmp_path / "stranger.key", *taxii[:2], code=2)
    assert "under the key of another circle" in refused
    strange = (*scanned, "--key", tmp_path / "another.key", "--out", tmp_path / "c")
    assert "key of another circle" in told(*strange, "--circle-key", tmp_path / "stranger.key", code=2)
    assert "name it with --circle-key" in told(*strange, code=2)

    # The second house answers by its own evidence alone, and the first one reads that.
    told(
        "export",
        tmp_path / "b",
        "--answers",
        "--circle-key",
        tmp_path / "circle.key",
        "--taxii",
        server.url,
        *taxii,
    )
    answers = [one for one in Collection(server.url, USER, PASSWORD).pull() if one["type"] == "opinion"]
    assert [one["opinion"] for one in answers] == ["neutral"]
    told(
        "import",
        server.url,
        "--circle-key",
        tmp_path / "circle.key",
        "--into",
        tmp_path / "read.json",
        *taxii,
    )

    # All of it is in the audit log, without a name of an account.
    opened = open_store(str(store))
    kinds = [entry.kind for entry in entries(opened)]
    assert kinds == ["bundle.exported", "bundle.imported", "bundle.exported", "bundle.imported"]
    assert not verify(opened).broken
    assert not any(
        name in entry.details for entry in entries(opened) for name in loud.operated | quiet.operated
    )
    opened.close()


def test_objects_are_pushed_and_pulled_in_pages_and_twice_is_once(server: Server) -> None:
    collection = Collection(server.url, USER, PASSWORD)
    objects = [
        {
            "type": "campaign", "spec_version": "2.1", "id": f"campaign--00000000-0000-4000-8000-{n:012d}", "name": str(n),
            "created": "2026-03-01T00:00:00.000Z", "modified": "2026-03-01T00:00:00.000Z",
        }
        for n in range(3 * PAGE)
    ]  # fmt: skip
    assert list(collection.pull()) == []
    assert collection.push(objects) == len(objects)
    assert collection.push(objects) == 0
    assert sorted(one["id"] for one in collection.pull()) == [one["id"] for one in objects]


def test_a_server_that_refuses_is_an_error_that_says_no_password(server: Server) -> None:
    for collection in (
        Collection(server.url, USER, "a wrong password"),
        Collection(server.url.replace(NAME, NAME[:-1] + "0"), USER, PASSWORD),
        Collection(server.url.replace(str(server.port), "9"), USER, PASSWORD),
    ):
        with pytest.raises(ShareError, match="TAXII server") as caught:
            list(collection.pull())
        assert "password for tests" not in str(caught.value)
        assert "password for tests" not in repr(collection)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://peers.example/circle/collections/1/", "not sent or fetched in the clear"),
        ("https://name:secret@peers.example/circle/collections/1/", "without a name or password"),
        ("https://peers.example/circle/", "named by https"),
        ("ftp://peers.example/circle/collections/1/", "named by https"),
    ],
)
def test_a_url_that_is_none_of_a_collection_or_would_tell_everybody_is_refused(url: str, why: str) -> None:
    with pytest.raises(ShareError, match=why) as caught:
        Collection(url)
    assert "secret" not in str(caught.value)

"""The decision loop by its commands, on the result of a real scan."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import util
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

from stillwatch.arena import PRESETS, simulate
from stillwatch.calibration.labels import read_labels
from stillwatch.cli import app
from stillwatch.cli.audit import BROKEN
from stillwatch.keys import Keys
from stillwatch.response.snapshot import Snapshot
from stillwatch.scan import Options, scan
from stillwatch.sketching import Source
from stillwatch.store import StoreError
from tests.review.results import accounts, campaign, write_result

KEYS = Keys(local=b"a key for the tests of review")


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("review")
    simulate(PRESETS["tiny"], folder / "log")
    scan(Source((folder / "log" / "exchanges.parquet",)), folder / "result", KEYS, Options())
    return folder


def run(*words: object, by: str = "ann", store: object = None) -> Result:
    named = ["--store", str(store)] if store else []
    if words[0] == "review" and words[1] not in {"list", "show", "preview"}:
        named += ["--by", by]
    return CliRunner().invoke(app, [*map(str, words), *named], catch_exceptions=False)


def test_one_case_from_a_scan_to_the_next(scanned: Path, tmp_path: Path) -> None:
    store = tmp_path / "review.db"
    assert "1 opened" in run("review", "load", scanned / "result", store=store).output
    case = json.loads(run("review", "list", "--json", store=store).output)["rows"][0]
    shown = run("review", "preview", case["id"], "--action", "suspend", store=store).output
    assert f"hits {case['principals']} principals" in shown
    assert "a second person must approve" in shown
    asked = ("review", "decide", case["id"], "--action", "throttle", "--set", "requests_per_minute=2")
    assert "decision 1 waits for approval" in run(*asked, "--reason", "one hand", store=store).output
    assert "0 actions" in run("review", "actions", "--out", tmp_path / "actions.json", store=store).output
    assert (
        "decision 1 stands; it holds for the first"
        in run("review", "approve", 1, by="bob", store=store).output
    )
    run("review", "actions", "--out", tmp_path / "actions.json", store=store)
    held = Snapshot.from_json((tmp_path / "actions.json").read_bytes())
    accused = pq.read_table(scanned / "result" / "accounts.parquet").to_pylist()
    assert {one.account_id for one in held.actions} == {
        row["account_id"] for row in accused if row["verdict"] == "extraction"
    }
    assert all(one.parameters == {"requests_per_minute": 2} for one in held.actions)
    told = run("review", "show", case["id"], store=store).output
    assert "by ann, with bob: one hand" in told
    # On second thoughts they are innocent: nobody is hit, and the next scan does not accuse them again.
    run("review", "decide", case["id"], "--finding", "innocent", "--reason", "a class", store=store)
    run("review", "actions", "--out", tmp_path / "actions.json", store=store)
    assert Snapshot.from_json((tmp_path / "actions.json").read_bytes()).actions == ()
    run("review", "labels", "--out", tmp_path / "labels.parquet", store=store)
    options = Options(labels=read_labels(tmp_path / "labels.parquet"))
    again = scan(Source((scanned / "log" / "exchanges.parquet",)), tmp_path / "again", KEYS, options)
    assert {row["verdict"] for row in again.campaigns} == {"undetermined"}
    assert "entries, whole" in run("audit", "verify", store=store).output
    assert "decision.approved" in run("audit", "list", store=store).output


def test_the_other_commands(tmp_path: Path) -> None:
    store = tmp_path / "review.db"
    found = [campaign("c-1", ["f-1"], accounts("a", 4)), campaign("c-2", ["f-2"], accounts("b", 12))]
    run("review", "load", write_result(tmp_path / "result", found), store=store)
    assert run("review", "take", "c-1", store=store).output == "c-1 is yours\n"
    assert run("review", "release", "c-1", store=store).output == "c-1 is nobody's\n"
    one = ("review", "decide", "c-1", "--action", "step_up", "--finding", "unsure", "--account", "a-001")
    stands = run(*one, "--reason", "to be sure", store=store).output
    assert "decision 1 stands; it holds from 20" in stands
    repeated = CliRunner().invoke(app, [*one, "--reason", "again", "--by", "ann", "--store", str(store)])
    begins = stands.rsplit("it holds from ", 1)[1].partition(",")[0]
    assert f"stands already; it holds for all of them from {begins}" in str(repeated.exception)
    assert "taken back" in run("review", "undo", 1, "--reason", "they called", store=store).output
    at_once = run(*one, "--reason", "to be sure", "--spread", "0s", store=store).output
    assert at_once.endswith("decision 2 stands\n")
    run("review", "undo", 2, "--reason", "they called", store=store)
    run("review", "decide", "c-2", "--action", "suspend", "--reason", "one hand", store=store)
    assert "is refused" in run("review", "refuse", 3, "--reason", "too many", by="bob", store=store).output
    assert "2 new" not in run("review", "list", "--state", "new", store=store).output
    head = run("audit", "head", store=store).output.strip()
    run("review", "take", "c-1", store=store)
    assert run("audit", "verify", "--kept", head, store=store).exit_code == 0
    other = head[:-1] + ("0" if head[-1] != "0" else "1")
    broken = run("audit", "verify", "--kept", other, store=store)
    assert (broken.exit_code, "is not the one of which the hash was kept" in broken.output) == (BROKEN, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("review", "list", "--state", "old"), "'old' is none of new, in_review, decided, appealed"),
        (
            ("review", "decide", "c-1", "--action", "ban", "--reason", "x"),
            "'ban' is none of observe, throttle",
        ),
        (("review", "decide", "c-1", "--set", "fast", "--reason", "x"), "'fast' is not NAME=VALUE"),
        (("audit", "verify", "--kept", "7"), "NUMBER:HASH"),
    ],
)
def test_what_cannot_be_meant_is_said(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    shown = CliRunner().invoke(
        app, [*words, "--store", str(tmp_path / "review.db")], env={"COLUMNS": "300", "TERM": "dumb"}
    )
    assert shown.exit_code == 2
    assert message in shown.output


def test_without_its_extra_it_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = util.find_spec
    monkeypatch.setattr("stillwatch.store.find_spec", lambda name: None if name == "alembic" else real(name))
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(app, ["review", "list"])
    assert isinstance(shown.exception, StoreError)
    assert str(shown.exception) == (
        "review keeps a database and alembic is not installed; it comes with the extra: "
        "pip install 'stillwatch[server]'"
    )
    assert not list(tmp_path.iterdir())


def test_the_command_line_imports_nothing_of_the_extra() -> None:
    code = (
        "import sys, stillwatch.cli, stillwatch.scan, stillwatch.response.snapshot, stillwatch.cli.errors\n"
        "stillwatch.cli.errors.known_errors()\n"
        "print(sorted({'sqlalchemy', 'alembic', 'psycopg'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"

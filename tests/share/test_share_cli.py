"""The two commands: what they refuse, what they keep, and that nothing is lost where they fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("stix2")

from stillwatch.cli import app
from stillwatch.share import ShareError, require_extra
from tests.share.conftest import CIRCLE, House


@pytest.fixture
def key(tmp_path: Path) -> Path:
    (tmp_path / "circle.key").write_bytes(CIRCLE)
    return tmp_path / "circle.key"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store of review lies in the folder in which a command is given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STILLWATCH_STORE", raising=False)


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "200"})
    if done.exception and not isinstance(done.exception, SystemExit):
        return 2, str(done.exception)
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ((), "give --out FILE or --taxii URL"),
        (("--out", "x", "--taxii", "https://p.example/r/collections/1/"), "give --out FILE or --taxii URL"),
        (("--out", "x", "--format", "xml"), "'xml' is none of stix, misp, ocsf, sigma, csv"),
        (("--out", "x", "--tlp", "white"), "'white' is none of clear, green, amber, amber+strict, red"),
        (("--taxii", "https://p.example/r/collections/1/", "--format", "csv"), "a TAXII server takes stix"),
        (("--out", "x", "--valid", "soon"), "soon"),
    ],
)
def test_what_export_cannot_do_it_says(more: tuple[str, ...], why: str, loud: House, key: Path) -> None:
    name = loud.result.campaigns[0]["campaign_id"]
    code, said = run("export", loud.folder / "result", name, "--circle-key", key, *more)
    assert code == 2
    assert why in said


def test_a_library_that_is_not_there_is_named_with_its_extra() -> None:
    require_extra("json")
    with pytest.raises(ShareError, match=r"takes no_such_library, .* pip install 'stillwatch\[share\]'"):
        require_extra("json", "no_such_library")


def test_an_import_adds_to_what_was_kept_and_a_campaign_that_is_taken_back_goes(
    loud: House, key: Path, tmp_path: Path
) -> None:
    name = loud.result.campaigns[0]["campaign_id"]
    bundle, into = tmp_path / "bundle.json", tmp_path / "peers.json"
    told = ("export", loud.folder / "result", name, "--circle-key", key, "--valid", "3650d", "--out", bundle)
    assert run(*told) == (0, f"1 campaign and 0 answers in {bundle}, TLP:AMBER\n")
    keep = ("import", bundle, "--circle-key", key, "--into", into)
    assert run(*keep)[1].endswith("holds 1 campaign\n")
    once = into.read_bytes()
    run(*keep)
    assert into.read_bytes() == once

    # What cannot be read leaves what is kept as it was.
    (tmp_path / "broken.json").write_text("{")
    assert run("import", tmp_path / "broken.json", "--circle-key", key, "--into", into)[0] == 2
    assert into.read_bytes() == once

    objects = json.loads(bundle.read_text())
    for one in objects["objects"]:
        if one["type"] == "campaign":
            one |= {"revoked": True, "modified": "2100-01-01T00:00:00Z"}
    bundle.write_text(json.dumps(objects))
    assert "1 taken back" in run(*keep)[1]
    assert json.loads(into.read_text())["campaigns"] == []


def test_an_install_that_can_keep_no_store_exports_and_says_so(
    loud: House, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stillwatch.store.NEEDED", ("no_such_library",))
    name = loud.result.campaigns[0]["campaign_id"]
    told = ("export", loud.folder / "result", name, "--circle-key", key, "--format", "csv", "--out", "a.csv")
    code, said = run(*told)
    assert code == 0
    assert "no entry of an audit log is kept" in said
    assert "pip install 'stillwatch[server]'" in said
    assert {file.name for file in tmp_path.iterdir()} == {"circle.key", "a.csv"}


@pytest.mark.parametrize("made", [False, True], ids=["no store yet", "a store"])
def test_an_export_is_in_the_audit_log_unasked(made: bool, loud: House, key: Path) -> None:
    pytest.importorskip("sqlalchemy")
    from stillwatch.store import audit
    from stillwatch.store.database import open_store

    if made:
        open_store("stillwatch-review.db").close()
    name = loud.result.campaigns[0]["campaign_id"]
    told = ("export", loud.folder / "result", name, "--circle-key", key, "--format", "csv", "--out", "a.csv")
    assert run(*told, "--by", "ann")[0] == 0
    store = open_store("stillwatch-review.db")
    assert [(one.actor, one.kind) for one in audit.entries(store)] == [("ann", "bundle.exported")]
    store.close()


def test_an_export_that_cannot_be_logged_is_not_made(loud: House, key: Path, tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    name = loud.result.campaigns[0]["campaign_id"]
    out = tmp_path / "bundle.json"
    told = ("export", loud.folder / "result", name, "--circle-key", key, "--out", out)
    code, said = run(*told, "--store", tmp_path / "nowhere" / "review.db")
    assert code == 2
    assert "its folder does not exist" in said
    assert not out.exists()


def test_whom_people_cleared_is_not_handed_on(loud: House, key: Path, tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    name = loud.result.campaigns[0]["campaign_id"]
    account = loud.result.campaigns[0]["principals"][0]["account_id"]
    told = ("export", loud.folder / "result", name, "--circle-key", key, "--format", "csv", "--out", "a.csv")
    clears = ("review", "decide", name, "--finding", "innocent", "--reason", "a class", "--by", "ann")

    def marks() -> int:
        assert run(*told)[0] == 0
        return (tmp_path / "a.csv").read_text().count("\naccount")

    store = ("--store", "stillwatch-review.db")
    assert run("review", "load", loud.folder / "result", *store, "--by", "ann")[0] == 0
    every = marks()
    assert run(*clears, "--account", account, *store)[0] == 0
    assert marks() == every - 1
    assert run(*clears, *store)[0] == 0
    code, said = run(*told)
    assert code == 2
    assert f"{name} was cleared by decision 2, and peers would hear an accusation" in said
    assert run("review", "undo", 2, "--reason", "no class", *store)[0] == 0
    assert marks() == every - 1


def test_what_was_exported_is_taken_back(loud: House, key: Path, tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    from stillwatch.store import audit
    from stillwatch.store.database import open_store

    name, store = loud.result.campaigns[0]["campaign_id"], ("--store", "stillwatch-review.db")
    told = (
        "export",
        loud.folder / "result",
        name,
        "--circle-key",
        key,
        "--valid",
        "3650d",
        "--out",
        "b.json",
    )
    heard = ("import", "b.json", "--circle-key", key, "--into", "peers.json")
    assert run("review", "load", loud.folder / "result", *store, "--by", "ann")[0] == 0
    assert run(*told)[0] == 0
    assert run(*heard)[1].endswith("holds 1 campaign\n")
    said = json.loads((tmp_path / "b.json").read_text())["objects"]
    run("review", "decide", name, "--finding", "innocent", "--reason", "a class", "--by", "ann", *store)
    assert run(*told, "--take-back") == (0, "1 campaign and 0 answers taken back in b.json, TLP:AMBER\n")
    revoked = {
        one["id"] for one in json.loads((tmp_path / "b.json").read_text())["objects"] if one.get("revoked")
    }
    kinds = {"campaign", "indicator", "infrastructure", "note", "observed-data", "sighting"}
    assert {one["id"] for one in said if one["type"] in kinds} <= revoked
    assert (
        not {one["id"] for one in said if one["type"] in {"attack-pattern", "course-of-action", "identity"}}
        & revoked
    )
    assert "1 taken back" in run(*heard)[1]
    assert json.loads((tmp_path / "peers.json").read_text())["campaigns"] == []
    opened = open_store("stillwatch-review.db")
    assert "bundle.taken_back" in [one.kind for one in audit.entries(opened)]
    opened.close()
    for more in (("--answers",), ("--format", "csv")):
        code, wrong = run(*told, "--take-back", *more)
        assert (code, "takes campaigns and the format stix alone" in wrong) == (2, True)

"""Moving a result into its folder: what a run that fails, dies or is not alone leaves behind."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from stillwatch.outputs import OutputError, staged
from tests.scans import written


def stage_new(out: Path, *names: str) -> None:
    with staged(out) as stage:
        for name in names:
            (stage / name).write_text("new")


def test_a_folder_in_place_of_a_file_is_named_before_anything_moves(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old")
    (tmp_path / "z.parquet").mkdir()
    with pytest.raises(OutputError, match=r"a folder stands where z\.parquet must go.*is as it was"):
        stage_new(tmp_path, "report.html", "z.parquet")
    assert written(tmp_path) == {"report.html": b"old"}


def test_a_move_that_fails_half_way_leaves_no_seal_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.txt", "b.txt", "overview.json", "report.html"):
        (tmp_path / name).write_text("old")
    replace = os.replace

    def fail(source: Path, target: Path) -> None:
        if target.name == "b.txt":
            raise OSError(5, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OutputError, match="Input/output error; the result there is incomplete, run it again"):
        stage_new(tmp_path, "a.txt", "b.txt", "overview.json", "report.html")
    assert written(tmp_path) == {"a.txt": b"new", "b.txt": b"old"}
    assert not list(tmp_path.glob(".stillwatch-*"))


def test_a_folder_made_for_a_result_that_fails_goes_with_it(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "today"

    def fail() -> None:
        with staged(out):
            raise RuntimeError("refused")

    with pytest.raises(RuntimeError, match="refused"):
        fail()
    assert not (tmp_path / "runs").exists()
    stage_new(out, "report.html")
    with pytest.raises(RuntimeError, match="refused"):
        fail()
    assert written(out) == {"report.html": b"new"}
    (tmp_path / "empty").mkdir()
    out = tmp_path / "empty" / "today"
    with pytest.raises(RuntimeError, match="refused"):
        fail()
    assert list(tmp_path.glob("empty/*")) == []
    assert (tmp_path / "empty").is_dir()


def test_only_temporary_folders_of_the_dead_are_removed(tmp_path: Path) -> None:
    dead = tmp_path / ".stillwatch-result-dead"
    (dead / ".stillwatch-spool-dead").mkdir(parents=True)
    (dead / ".stillwatch-spool-dead" / "sketches.arrow").write_bytes(b"half a file")
    (tmp_path / ".stillwatch-result-file").write_text("no folder, so not ours")
    with staged(tmp_path) as first:
        assert not dead.exists()
        with staged(tmp_path) as second:
            assert first.is_dir()
            assert first != second
    assert [path.name for path in tmp_path.iterdir()] == [".stillwatch-result-file"]


def test_without_locks_no_folder_is_taken_for_that_of_a_dead_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    (tmp_path / ".stillwatch-result-who").mkdir()
    with staged(tmp_path) as stage:
        (stage / "a.txt").write_text("new")
    assert (tmp_path / ".stillwatch-result-who").is_dir()
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_new_temporary_folder_that_another_run_took_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, taken = tempfile.mkdtemp, []

    def take(**options: Any) -> str:
        folder = make(**options)
        if not taken:
            taken.append(folder)
            Path(folder).rmdir()
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", take)
    with staged(tmp_path) as stage:
        assert [str(stage)] != taken

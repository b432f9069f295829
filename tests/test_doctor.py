"""``stillwatch doctor``: well where a scan can run, and what to do where it cannot."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stillwatch import doctor
from stillwatch.cli import app


def run() -> tuple[int, str]:
    result = CliRunner().invoke(app, ["doctor"])
    return result.exit_code, result.output


def test_a_machine_on_which_the_tests_run_can_scan() -> None:
    code, said = run()
    assert code == 0, said
    assert "FAIL" not in said
    assert "duckdb answers" in said
    assert "objective model" in said


def test_a_package_that_is_missing_fails_with_the_command_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "CORE", (*doctor.CORE, "a-package-that-nobody-has"))
    code, said = run()
    assert code == 1
    assert "without a-package-that-nobody-has" in said
    assert "Run: pip install stillwatch" in said


def test_a_temporary_folder_that_cannot_be_written_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    code, said = run()
    assert code == 1
    assert "Set TMPDIR" in said


def test_a_key_that_others_may_read_is_told_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    code, said = run()
    assert (code, "the first scan makes" in said) == (0, True)
    key = tmp_path / "stillwatch" / "key"
    key.parent.mkdir()
    key.write_bytes(b"k" * 32)
    key.chmod(0o644)
    code, said = run()
    assert (code, f"Run: chmod 600 {key}" in said) == (0, True)
    key.chmod(0o600)
    assert "chmod" not in run()[1]


def test_doctor_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run()
    assert os.listdir(tmp_path) == []


def test_every_dependency_is_looked_at() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    named = {re.split(r"[<>=]", dependency)[0] for dependency in project["dependencies"]}
    assert named == set(doctor.CORE)
    assert set(doctor.EXTRAS) <= set(project["optional-dependencies"])

"""Exit codes of ``stillwatch scan``, and what a shell completes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stillwatch.arena import PRESETS, simulate
from stillwatch.cli import app


@pytest.mark.parametrize(("campaign", "asked", "code"), [(True, True, 3), (True, False, 0), (False, True, 0)])
def test_the_exit_code_says_whether_a_campaign_was_found(
    campaign: bool, asked: bool, code: int, tmp_path: Path
) -> None:
    recipe = PRESETS["tiny"] if campaign else replace(PRESETS["tiny"], operators=())
    simulate(recipe, tmp_path / "log")
    (tmp_path / "key").write_bytes(b"a key for the tests of exit codes")
    command = [
        "scan",
        tmp_path / "log" / "exchanges.parquet",
        "--out",
        tmp_path / "result",
        "--key",
        tmp_path / "key",
    ]
    result = CliRunner().invoke(app, [str(part) for part in command] + ["--exit-code"] * asked)
    assert result.exit_code == code, result.output
    assert (tmp_path / "result" / "report.html").exists()


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "sys.argv = ['stillwatch', '--help']\n"
        "from stillwatch.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'numpy', 'pyarrow', 'duckdb', 'numba', 'torch', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_an_error_of_ours_is_one_line_and_another_is_raised(tmp_path: Path) -> None:
    missing = subprocess.run(
        [sys.executable, "-m", "stillwatch", "scan", tmp_path / "none.parquet", "--out", tmp_path / "result"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert missing.returncode == 2
    assert missing.stderr.startswith("stillwatch: ")
    assert "Traceback" not in missing.stderr
    program = (
        "import stillwatch.cli as cli\ndef app(): raise KeyError('not ours')\ncli.app = app\ncli.main()\n"
    )
    ours = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert ours.returncode == 1
    assert "KeyError: 'not ours'" in ours.stderr


@pytest.mark.parametrize(
    ("typed", "place", "offered"), [("stillwatch sc", 1, "scan"), ("stillwatch scan --exi", 2, "--exit-code")]
)
def test_bash_completes_commands_and_options(typed: str, place: int, offered: str) -> None:
    program = "import sys; sys.argv[0] = 'stillwatch'; from stillwatch.cli import main; main()"
    asked = {"_STILLWATCH_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(place)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | asked, check=True, capture_output=True, text=True
    )
    assert offered in done.stdout.split()


def test_the_script_of_bash_completes_what_is_typed(tmp_path: Path) -> None:
    """The generated script, in a shell of its own, as the terminal would run it."""
    program = "import sys; sys.argv[0] = 'stillwatch'; from stillwatch.cli import main; main()"
    command = tmp_path / "stillwatch"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{program}" "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    there = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    typed = """
    eval "$(stillwatch --show-completion bash)"
    COMP_WORDS=(stillwatch fin) COMP_CWORD=1
    complete -p stillwatch | grep -q -- "-F _stillwatch_completion"
    _stillwatch_completion stillwatch
    echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "-euc", typed], env=there, check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["fingerprint"]

"""The core does not need what the lab trains with, and says what is missing where the lab is asked for."""

from __future__ import annotations

import subprocess
import sys
from importlib import util

import pytest
from typer.testing import CliRunner

from stillwatch.cli import app
from stillwatch.lab import MissingExtraError


@pytest.mark.parametrize("arguments", [["lab", "list"], ["lab", "run", "logits-and-tokens"]])
def test_a_lab_without_its_extra_is_an_error_that_names_it(arguments, monkeypatch, tmp_path):
    real = util.find_spec
    monkeypatch.setattr("stillwatch.lab.find_spec", lambda name: None if name == "torch" else real(name))
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(app, arguments)
    assert isinstance(shown.exception, MissingExtraError)
    assert str(shown.exception) == (
        "the lab trains models and torch is not installed; it comes with the extra: "
        "pip install 'stillwatch[lab]'"
    )
    assert not list(tmp_path.iterdir())


def test_the_command_line_and_a_scan_import_nothing_of_the_extra():
    code = (
        "import sys, stillwatch.cli, stillwatch.scan, stillwatch.cli.errors\n"
        "stillwatch.cli.errors.known_errors()\n"
        "print(sorted({'torch', 'resvg_py'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"

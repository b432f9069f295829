"""A copy of the advisory database says what OSV would; pip-audit itself asks it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
from advisory_copy import Advisories, affects, answering

HOLE = """
id: PYSEC-2023-83
details: Directory traversal
affected:
- package: {name: Starlette, ecosystem: PyPI}
  ranges:
  - type: ECOSYSTEM
    events: [{introduced: 0.13.5}, {fixed: 0.27.0}]
  versions: [0.13.5]
aliases: [CVE-2023-29159]
published: 2023-06-01T02:15:00Z
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    (tmp_path / "vulns" / "starlette").mkdir(parents=True)
    (tmp_path / "vulns" / "starlette" / "PYSEC-2023-83.yaml").write_text(HOLE)
    (tmp_path / "vulns" / "starlette" / "PYSEC-2023-0.yaml").write_text(
        HOLE + "withdrawn: 2024-01-01T00:00:00Z\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("events", "inside", "outside"),
    [
        ([{"introduced": "0"}, {"fixed": "2.0"}], ["0.1", "1.9", "2.0rc1", "0.dev1"], ["2.0", "3"]),
        ([{"introduced": "0"}], ["0.1", "99"], []),
        ([{"introduced": "1.0"}, {"last_affected": "1.5"}], ["1.0", "1.5"], ["0.9", "1.5.1"]),
        ([{"introduced": "3"}, {"fixed": "3.2"}, {"introduced": "1"}, {"fixed": "1.2"}], ["1.1", "3.1"], ["2", "4"]),
    ],
)  # fmt: skip
def test_a_range_holds_what_it_says(
    events: list[dict[str, str]], inside: list[str], outside: list[str]
) -> None:
    affected = {"ranges": [{"type": "ECOSYSTEM", "events": events}], "versions": ["7.7"]}
    assert [one for one in inside if not affects(affected, one)] == []
    assert [one for one in outside if affects(affected, one)] == []
    assert affects(affected, "7.7")
    assert affects(affected, "no version at all")


def test_pip_audit_asks_it(copy: Path, tmp_path: Path) -> None:
    known = Advisories(copy)
    assert (known.count, known.newest) == (1, "2023-06-01")
    asked = tmp_path / "requirements.txt"
    asked.write_text("starlette==0.20.0\njinja2==3.1.6\n")
    run = [sys.executable, "-m", "pip_audit", "--requirement", str(asked), "--no-deps", "--disable-pip"]
    with answering(known) as address:
        run += ["--vulnerability-service", "osv", "--osv-url", address]
        assert _told(run) == {"starlette": ["PYSEC-2023-83"], "jinja2": []}
        asked.write_text("starlette==0.27.0\n")
        assert _told(run) == {"starlette": []}


def _told(run: list[str]) -> dict[str, list[str]]:
    """Holes by package, as pip-audit names them; it leaves with 1 where there are any."""
    more = ["--format", "json", "--progress-spinner", "off"]
    done = subprocess.run([*run, *more], capture_output=True, text=True, check=False, timeout=120)
    return {
        one["name"]: [hole["id"] for hole in one["vulns"]] for one in json.loads(done.stdout)["dependencies"]
    }


def test_a_folder_without_advisories_is_no_copy(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="holds no advisory"):
        Advisories(tmp_path)

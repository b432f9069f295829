"""What bandit finds in the package is explained in the table of docs/asvs.md, and each row there is of a finding."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "asvs.md"
ROW = re.compile(r"^\| (B\d{3}) \| (.+?) \| (.+?) \|$", re.MULTILINE)
PLACE = re.compile(r"`([^`]+)`")


def explained() -> list[tuple[str, str]]:
    """Checks and the files of which a row says why the finding stays; of a file or a folder of files."""
    rows = ROW.findall(PAGE.read_text("utf-8"))
    assert all(len(why.split()) >= 3 for _, _, why in rows)
    return [(check, place) for check, places, _ in rows for place in PLACE.findall(places)]


def found(folder: Path) -> Counter[tuple[str, str]]:
    run = [sys.executable, "-m", "bandit", "--recursive", folder, "--quiet", "--format", "json"]
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=600)
    told = json.loads(done.stdout)
    assert told["errors"] == []
    assert told["metrics"]["_totals"]["skipped_tests"] == told["metrics"]["_totals"]["nosec"] == 0
    places = ((one["test_id"], Path(one["filename"]).relative_to(folder)) for one in told["results"])
    return Counter((check, place.as_posix()) for check, place in places)


def test_every_finding_is_explained_and_every_explanation_is_of_a_finding() -> None:
    known, findings = explained(), found(ROOT / "src" / "stillwatch")
    fitting = {
        one: [row for row in known if row[0] == one[0] and fnmatch(one[1], row[1])] for one in findings
    }
    assert sorted(one for one, rows in fitting.items() if not rows) == []
    assert sorted(set(known) - {row for rows in fitting.values() for row in rows}) == []


def test_a_shell_that_is_given_a_string_is_found(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import subprocess\n\nsubprocess.run(input(), shell=True)\n")
    assert ("B602", "bad.py") in found(tmp_path)

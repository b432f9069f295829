"""Every block of code in the documents is run, in order, in one folder; or says why it is not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Each in this order, since a page may go on with what the page before it left; and a file that is there in the end.
FIRST = ("docs/index.md", "docs/tutorial.md"), "bare-result/report.html"
OTHERS = (
    (("docs/tutorial.md", "docs/howto.md"), "sketched/report.html"),
    (("docs/review.md", "docs/policy.md"), "reviewed-again/report.html"),
    (("docs/sharing.md",), "answer.json"),
    (("docs/calibration.md", "docs/replay.md", "docs/arena.md"), "replayed/flags.parquet"),
)
# Written whole by a program, and checked where that program is.
MADE_PAGES = {"accuracy.md", "accuracy-recipes.md", "objective-card.md"}
PAGES = [
    path
    for path in (*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")))
    if path.name not in MADE_PAGES
]
MADE_BLOCK = re.compile(r"<!-- made: .*?<!-- end -->", re.DOTALL)
FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_CODE = {"text", "toml"}
REASON = re.compile(r"(sh|python) no-run: \w[\w ,']+")


def fences(page: Path) -> list[tuple[str, str]]:
    """Info and code of each block that was written by hand."""
    text = MADE_BLOCK.sub("", page.read_text(encoding="utf-8"))
    return [(found["info"], found["code"]) for found in FENCE.finditer(text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_run_or_says_why_it_is_not(page: Path) -> None:
    for info, code in fences(page):
        if info in NOT_CODE or REASON.fullmatch(info):
            continue
        assert info in {"sh", "python"}, f"{page.name}: what is this block? {code[:60]!r}"
        assert any(str(page.relative_to(ROOT)) in pages for pages, _ in (FIRST, *OTHERS)), (
            f"{page.name} has blocks to run and is in no list of pages"
        )


@pytest.mark.parametrize(
    ("pages", "left"), [FIRST, *(pytest.param(*chain, marks=pytest.mark.slow) for chain in OTHERS)]
)
def test_the_blocks_run_one_after_the_other(pages: tuple[str, ...], left: str, tmp_path: Path) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    program = "import sys; sys.argv[0] = 'stillwatch'; from stillwatch.cli import main; main()"
    for name, call in (
        ("stillwatch", f'"{sys.executable}" -c "{program}"'),
        ("python", f'"{sys.executable}"'),
    ):
        (commands / name).write_text(f'#!/bin/sh\nexec {call} "$@"\n', encoding="utf-8")
        (commands / name).chmod(0o755)
    there = os.environ | {
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    work = tmp_path / "work"
    work.mkdir()
    ran = 0
    for page in pages:
        for info, code in fences(ROOT / page):
            if info not in {"sh", "python"}:
                continue
            told = ["bash", "-euo", "pipefail", "-c", code] if info == "sh" else [sys.executable, "-c", code]
            done = subprocess.run(
                told, check=False, cwd=work, env=there, capture_output=True, text=True, timeout=300
            )
            assert done.returncode == 0, f"{page}:\n{code}\n{done.stdout[-500:]}\n{done.stderr[-1500:]}"
            ran += 1
    assert ran >= len(pages)
    assert (work / left).exists()

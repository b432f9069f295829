"""The table of security controls says nothing that no test shows: what it names is there, and what is less says what."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent.parent / "docs" / "asvs.md"
NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")
STATES = {"yes", "differs", "no"}


def rows() -> list[list[str]]:
    lines = [
        line for line in PAGE.read_text("utf-8").partition("\n## ")[0].splitlines() if line.startswith("| ")
    ]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def names_in(name: str) -> set[str]:
    here = HERE / name
    tree = ast.parse((here if here.exists() else HERE.parent / name).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_row_says_how_it_stands_and_what_shows_it() -> None:
    items: list[str] = []
    for item, asks, state, how, shown in rows():
        assert state in STATES, item
        assert asks, item
        if state == "yes":
            assert NAMED.findall(shown), f"{item} holds, and no test shows it"
        else:
            assert how, f"{item} does not hold as it is asked, and the table does not say what does"
        items.append(item)
    assert len(items) == len(set(items)) >= 40
    assert {state for _, _, state, _, _ in rows()} == STATES


def test_every_test_that_is_named_is_there() -> None:
    named = NAMED.findall(PAGE.read_text("utf-8"))
    assert len(named) >= 50
    missing = sorted(f"{file}::{name}" for file, name in named if name not in names_in(file))
    assert missing == []

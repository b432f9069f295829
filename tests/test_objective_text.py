"""The written training text: its format, its readings, and enough of it in every language."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import pytest

from stillwatch.objective.classes import OBJECTIVES

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


@pytest.fixture
def corpus(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return pytest.importorskip("objective_corpus")


def test_alternatives_are_read_from_the_inside_out(corpus):
    rng = random.Random(1)
    readings = {corpus.expand("a {b|c{d|e}|} f", rng) for _ in range(200)}
    assert readings == {"a b f", "a cd f", "a ce f", "a  f"}


def test_every_objective_has_templates_in_every_language_from_two_sources(corpus):
    lines = corpus.read_written(SCRIPTS / "objective_text")
    readings, sources = Counter(), {}
    for line in lines:
        for name in line.objectives:
            readings[name, line.language] += corpus.count_readings(line.text)
            sources.setdefault((name, line.language), set()).add(line.source)
    for name in OBJECTIVES:
        for language in ("en", "zh", "ja", "th"):
            assert readings[name, language] >= 15
            assert len(sources[name, language]) >= 2


def test_no_line_leaves_a_brace_behind(corpus):
    rng = random.Random(2)
    for line in corpus.read_written(SCRIPTS / "objective_text"):
        assert corpus.expand(line.text, rng).count("|") == outside_of_braces(line.text).count("|"), line.text


def outside_of_braces(text: str) -> str:
    """A table has bars of its own."""
    while (left := re.sub(r"\{[^{}]*\}", "", text)) != text:
        text = left
    return text


@pytest.mark.parametrize("bad", ["rubric_grading\ten", "marking\ten\tMark this."])
def test_a_line_that_breaks_the_format_is_named(corpus, tmp_path, bad):
    (tmp_path / "one.tsv").write_text(f"# heading\n{bad}\n", "utf-8")
    with pytest.raises(ValueError, match=r"one\.tsv:2: want objectives, language and text between tabs"):
        corpus.read_written(tmp_path)


def test_the_arena_gives_whole_templates_and_judges_that_are_only_measured(corpus, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "objectives.txt").write_text(
        "# remark\n[template a-1 rubric_grading]\n- Mark it.\n- Grade {it|all}.\n--\n- Be fair.\n"
        "> \\nAnswer:\n{prose 1-2}\n"
        "[template a-2 plain]\n- Shorten this.\n",
        "utf-8",
    )
    (tmp_path / "a" / "honest.txt").write_text("[template a-3 judge th]\n- Right or wrong?\n", "utf-8")
    lines = {line.text: line for line in corpus.read_arena(tmp_path)}
    assert set(lines) == {
        "{Mark it.} {Be fair.} \nAnswer:@@",
        "{Grade /it/all/.} {Be fair.} \nAnswer:@@",
        "{Shorten this.}",
        "{Right or wrong?}",
    }
    assert lines["{Mark it.} {Be fair.} \nAnswer:@@"].objectives == {"rubric_grading"}
    judge = lines["{Right or wrong?}"]
    assert (judge.source, judge.language, judge.fitted) == ("arena_judges", "th", False)
    assert lines["{Shorten this.}"].source == "arena_a"
    assert not lines["{Shorten this.}"].objectives

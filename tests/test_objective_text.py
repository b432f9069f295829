"""The written training text: its format, its readings, and enough of it in every language."""

from __future__ import annotations

import random
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
        assert "|" not in corpus.expand(line.text, rng), line.text


@pytest.mark.parametrize("bad", ["rubric_grading\ten", "marking\ten\tMark this."])
def test_a_line_that_breaks_the_format_is_named(corpus, tmp_path, bad):
    (tmp_path / "one.tsv").write_text(f"# heading\n{bad}\n", "utf-8")
    with pytest.raises(ValueError, match=r"one\.tsv:2: want objectives, language and text between tabs"):
        corpus.read_written(tmp_path)

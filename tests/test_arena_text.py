"""The two text sources: complete for every objective, and without a common template."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from stillwatch.arena.text import a, b
from stillwatch.arena.text.source import Slot, TextSource
from stillwatch.objective.classes import OBJECTIVES

SOURCES = {"a": a.source(), "b": b.source()}
LONGEST_RUN = {"en": 5, "zh": 7, "ja": 9, "th": 14}


def sentences(source: TextSource, kinds: set[str] | None = None) -> list[str]:
    return [
        wording
        for template in source.templates
        if kinds is None or template.kind in kinds
        for part in template.parts
        if isinstance(part, tuple)
        for wording in part
    ]


def five_grams(texts: list[str]) -> set[tuple[str, ...]]:
    grams: set[tuple[str, ...]] = set()
    for text in texts:
        words = re.findall(r"\w+", text.lower())
        grams.update(zip(*(words[n:] for n in range(5)), strict=False))
    return grams


@pytest.mark.parametrize("name", SOURCES)
def test_every_objective_has_a_template_with_six_wordings_and_a_slot(name):
    source = SOURCES[name]
    for objective in (*OBJECTIVES, "plain"):
        templates = source.of_kind(objective)
        assert source.of_kind(objective, "en"), objective
        for template in templates:
            groups = [part for part in template.parts if isinstance(part, tuple)]
            assert len(groups) >= 2, template.template_id
            for group in groups:
                assert len(set(group)) == 6, (template.template_id, group[0])
            assert any(isinstance(part, Slot) for part in template.parts), template.template_id


@pytest.mark.parametrize("name", SOURCES)
def test_wordings_of_a_sentence_share_no_long_run(name):
    for template in SOURCES[name].templates:
        for part in template.parts:
            if isinstance(part, tuple) and len(part) > 1:
                grams = [five_grams([wording]) for wording in part]
                shared = sum(len(one & other) for one, other in pairwise(grams))
                assert shared <= 2, (template.template_id, part[0])


def test_sources_share_no_templates_topics_or_patterns():
    one, other = SOURCES["a"], SOURCES["b"]
    assert len(five_grams(sentences(one))) > 1_000
    assert not five_grams(sentences(one)) & five_grams(sentences(other))
    assert not {t.name for t in one.topics["en"]} & {t.name for t in other.topics["en"]}
    for style in {style for style, language in one.patterns if language == "en"}:
        assert not set(one.patterns[(style, "en")]) & set(other.patterns[(style, "en")])


def test_languages_are_there():
    assert {"zh", "ja", "th"} <= set(SOURCES["b"].topics)
    for language in ("zh", "ja", "th", "code"):
        assert SOURCES["b"].of_kind("elicited_reasoning" if language != "code" else "coding_drill", language)


@pytest.mark.parametrize("name", SOURCES)
def test_grammar_leaves_no_long_fixed_runs(name):
    """A run of fixed words would make strangers' free text look like a template; personas may begin alike."""
    for (style, language), patterns in SOURCES[name].patterns.items():
        for pattern in patterns if style != "persona" else []:
            for run in re.split(r"%[nvap#rdtNA]", pattern):
                words = re.findall(r"[\w']+", run) if language == "en" else re.findall(r"\w", run)
                assert len(words) <= LONGEST_RUN[language], (style, run)


@pytest.mark.parametrize("name", SOURCES)
def test_honest_uses_have_templates_of_their_own(name):
    source = SOURCES[name]
    counts = {
        kind: len(source.of_kind(kind)) for kind in ("judge", "pipeline", "harness", "assignment", "job")
    }
    assert counts["judge"] >= 9
    assert counts["pipeline"] >= 10
    assert counts["harness"] >= 4
    assert counts["assignment"] >= 5
    assert counts["job"] >= 6


@pytest.mark.parametrize("name", SOURCES)
def test_templates_use_styles_that_the_source_has(name):
    source = SOURCES[name]
    styles = {style for style, language in source.patterns if language == "en"}
    for template in source.templates:
        assert {part.style for part in template.parts if isinstance(part, Slot)} <= styles, (
            template.template_id
        )
    one, other = SOURCES.values()
    assert {key for key in one.patterns if key[1] == "en"} == {
        key for key in other.patterns if key[1] == "en"
    }
    assert {key for key in one.pools if key[1] == "en"} == {key for key in other.pools if key[1] == "en"}

"""Variety of wordings against the plain definition, and on texts of which the truth is known."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from stillwatch.families.variety import UNIT, variety
from tests.outlines import outlines_of

Texts = list[list[int]]


def measured(principals: list[int], texts: Texts) -> int:
    """Variety of one family that holds all texts, each a list of fragments."""
    outlines = outlines_of(texts, principals)
    family = np.zeros(int(outlines.fragment.max()) + 1, np.int32)
    every = np.arange(len(outlines.role), dtype=np.int32)
    return int(variety(outlines, family, every, np.zeros(len(every), np.int32), 1)[0])


def plain(principals: list[int], texts: Texts) -> float:
    """The same, pair by pair."""
    sets = [set(text) for text in texts]
    counts = Counter(code for text in sets for code in text)
    wording = {code for code, count in counts.items() if 0.04 <= count / len(texts) <= 0.6}
    sizes = np.array([len(text) for text in sets])
    steady = 1 - 2 * min(sizes.std() / sizes.mean(), 0.5)
    sent = sum(counts[code] for code in wording)
    mass = sent / sum(counts.values())
    mean = sum(counts[code] ** 2 for code in wording) / len(texts) / max(sent, 1)
    within = among = own = equal = 0
    for first, one in enumerate(sets):
        for second, other in enumerate(sets):
            if first == second:
                continue
            common = len(one & other & wording)
            same = principals[first] == principals[second]
            own += same
            within += common * same
            among += common * (not same)
            equal += one & wording == other & wording and not same
    expected = own * among / (len(sets) * (len(sets) - 1) - own)
    alike = min(expected / (within + 2 * (2 * within) ** 0.5 + 2), 1) ** 2
    twos = min(max((mean - 0.2) / 0.1, 0), 1)
    entropy = -math.log2((equal + 0.5) / (len(sets) * (len(sets) - 1) - own))
    return UNIT * mass * steady * alike * min(max((entropy - 2 * twos - 5) / 2, 0), 1)


def reworded(rng: np.random.Generator, exchanges: int, sentences: int = 5) -> Texts:
    """Texts of sentences, each in one of six wordings of three fragments."""
    return [
        [
            3 * (6 * place + int(pick)) + part
            for place, pick in enumerate(rng.integers(6, size=sentences))
            for part in range(3)
        ]
        for _ in range(exchanges)
    ]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sentences", [2, 3, 5])
def test_variety_equals_the_plain_version(seed: int, sentences: int) -> None:
    rng = np.random.default_rng(seed)
    principals = rng.integers(12, size=150).tolist()
    texts = [text[: int(rng.integers(9, 16))] for text in reworded(rng, 150, sentences)]
    assert abs(measured(principals, texts) - plain(principals, texts)) <= 1


def test_a_reworded_template_varies_and_a_pasted_one_does_not() -> None:
    rng = np.random.default_rng(7)
    principals = rng.integers(30, size=600).tolist()
    assert measured(principals, reworded(rng, 600)) > 0.7 * UNIT
    assert measured(principals, [list(range(15))] * 600) == 0


def test_versions_that_principals_keep_are_no_rewording() -> None:
    rng = np.random.default_rng(8)
    principals = rng.integers(30, size=600).tolist()
    versions = reworded(rng, 30)
    assert measured(principals, [versions[owner] for owner in principals]) < 0.1 * UNIT


def test_phrases_of_which_some_occur_are_no_rewording() -> None:
    rng = np.random.default_rng(9)
    principals = rng.integers(30, size=600).tolist()
    texts = [np.flatnonzero(rng.random(40) < rng.choice([0.1, 0.3, 0.6])).tolist() or [0] for _ in range(600)]
    assert measured(principals, texts) < 0.25 * UNIT


def test_a_prompt_of_modules_that_are_turned_on_and_off_is_no_rewording() -> None:
    """Six modules of two texts each: dozens of prompts, whoever sends them."""
    rng = np.random.default_rng(10)
    principals = rng.integers(30, size=600).tolist()
    texts = [
        [
            20 * module + 4 * int(pick) + part
            for module, pick in enumerate(rng.integers(2, size=6))
            for part in range(4)
        ]
        for _ in principals
    ]
    assert measured(principals, texts) < 0.1 * UNIT


def test_a_prompt_in_a_few_dozen_versions_is_no_rewording() -> None:
    rng = np.random.default_rng(12)
    principals = rng.integers(30, size=600).tolist()
    assert measured(principals, reworded(rng, 600, sentences=2)) < 0.1 * UNIT


def test_wordings_of_unequal_chances_are_a_rewording_all_the_same() -> None:
    rng = np.random.default_rng(11)
    principals = rng.integers(30, size=600).tolist()
    chances = np.array([0.3, 0.25, 0.15, 0.1, 0.1, 0.1])
    texts = [
        [
            18 * place + 3 * int(pick) + part
            for place, pick in enumerate(rng.choice(6, size=6, p=chances))
            for part in range(3)
        ]
        for _ in principals
    ]
    assert measured(principals, texts) > 0.7 * UNIT

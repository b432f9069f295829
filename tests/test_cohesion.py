"""Parting of components against a plain version with Python's own integers, and on planted templates."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from numpy.typing import NDArray

from stillwatch.families.cohesion import SLIGHT, UNIT, Cohesion, part
from stillwatch.families.components import Edges, Joining, connected, count_exchanges, join
from tests.outlines import outlines_of

RULE = Cohesion()
Exchanges = list[list[int]]
"""Fragments of each exchange, in the order of its text."""

Pair = tuple[int, int, int]
"""Two neighbours, and the exchanges in which they are."""


def parted(exchanges: Exchanges, rule: Cohesion = RULE) -> tuple[NDArray[np.int32], NDArray[np.int64], Edges]:
    """Component and weight of every fragment, and the edges; every exchange is another principal's."""
    outlines = outlines_of(exchanges, range(len(exchanges)))
    outline, code = outlines.postings()
    counts = count_exchanges(code, outline, outlines, int(code.max()) + 1)
    component, edges = join(outlines, counts, Joining())
    return *part(outlines, component, edges, rule), edges


def plain(exchanges: Exchanges, edges: Edges, rule: Cohesion) -> list[tuple[set[int], dict[int, int]]]:
    """The definition: families of more than one fragment with the weights of their fragments."""
    pairs: list[Pair] = list(
        zip(edges.left.tolist(), edges.right.tolist(), edges.exchanges.tolist(), strict=True)
    )
    holders: dict[int, set[int]] = defaultdict(set)
    for number, fragments in enumerate(exchanges):
        for fragment in fragments:
            holders[fragment].add(number)
    found = []
    work = _components(set(holders), pairs)
    while work:
        members, own = work.pop()
        if not own:
            continue
        _, left, right = min((-pair[2], pair[0], pair[1]) for pair in own)
        weight = {fragment: UNIT * (fragment in (left, right)) for fragment in members}
        score = _scores(weight, holders)
        for _ in range(rule.steps):
            sums = {fragment: sum(score[number] for number in holders[fragment]) for fragment in members}
            weight = {
                fragment: max(int(value / max(sums.values()) * UNIT), 1) for fragment, value in sums.items()
            }
            score = _scores(weight, holders)
        enough = rule.near * sum(value**2 for value in score.values()) / sum(score.values())
        near = {number for number, value in score.items() if value >= enough}
        inside = {
            fragment
            for fragment in members
            if fragment in (left, right)
            or len(holders[fragment] & near)
            >= max(rule.held * len(holders[fragment]), rule.share * len(near))
        }
        found.append((inside, {fragment: max(weight[fragment], 1) for fragment in inside}))
        rest = members - inside
        work.append((rest, [pair for pair in own if pair[0] in rest and pair[1] in rest]))
    return found


def _scores(weight: dict[int, int], holders: dict[int, set[int]]) -> dict[int, int]:
    score: dict[int, int] = defaultdict(int)
    for fragment, value in weight.items():
        for number in holders[fragment] if value >= SLIGHT else ():
            score[number] += value
    return score


def _components(fragments: set[int], pairs: list[Pair]) -> list[tuple[set[int], list[Pair]]]:
    home = {fragment: {fragment} for fragment in fragments}
    for left, right, _ in pairs:
        union = home[left] | home[right]
        for fragment in union:
            home[fragment] = union
    unions = {min(union): union for union in home.values()}
    return [
        (union, [pair for pair in pairs if pair[0] in union]) for union in unions.values() if len(union) > 1
    ]


@pytest.mark.parametrize("seed", range(12))
def test_parting_equals_the_plain_version(seed: int) -> None:
    rng = np.random.default_rng(seed)
    templates = [rng.choice(40, size=rng.integers(3, 9), replace=False) for _ in range(6)]
    exchanges = []
    for _ in range(400):
        template = templates[int(rng.integers(6) * rng.random())]
        own = template[rng.random(len(template)) < 0.8].tolist()
        exchanges.append([*own, *rng.choice(40, size=rng.integers(0, 3)).tolist()] or [0])
    component, weight, edges = parted(exchanges)
    expected = plain(exchanges, edges, RULE)
    whole = connected(edges.left, edges.right, len(component))
    assert len(np.unique(component)) >= len(np.unique(whole))
    for inside, weights in expected:
        assert set(np.flatnonzero(component == min(inside)).tolist()) == inside
        assert {fragment: int(weight[fragment]) for fragment in inside} == weights
    single = set(range(len(component))) - {fragment for inside, _ in expected for fragment in inside}
    assert all(component[fragment] == fragment for fragment in single)


def test_a_phrase_that_two_templates_share_does_not_join_them() -> None:
    one, other, phrase = list(range(12)), list(range(13, 24)), 12
    exchanges = [[*one, phrase]] * 1600 + [[*other[:5], phrase, *other[5:]]] * 640
    component, _, edges = parted(exchanges)
    assert len(np.unique(connected(edges.left, edges.right, 24))) == 1, "the phrase joins them as neighbours"
    assert set(component[[*one, phrase]]) == {0}
    assert set(component[other]) == {13}


@pytest.mark.parametrize("sentences", [2, 3, 5])
def test_six_wordings_of_every_sentence_stay_one_template(sentences: int) -> None:
    rng = np.random.default_rng(sentences)
    exchanges = [
        [(6 * place + int(wording)) * 2 + half for place, wording in enumerate(chosen) for half in (0, 1)]
        for chosen in rng.integers(6, size=(900, sentences))
    ]
    component, _, _ = parted(exchanges)
    assert len(component) == 12 * sentences
    assert set(component.tolist()) == {0}


def test_the_first_words_of_many_seeds_are_not_of_the_template() -> None:
    rng = np.random.default_rng(3)
    template, opening = list(range(10)), 10
    seeds = [[opening, *range(11 + 3 * item, 14 + 3 * item)] for item in range(30)]
    dealt = [[*template, *seeds[item]] for item in rng.integers(30, size=900)]
    asked = [seeds[item] for item in rng.integers(30, size=900)]
    component, weight, _ = parted(dealt + asked)
    assert set(component[template].tolist()) == {0}
    assert (component[11:] != 0).all()
    assert weight[template].min() > UNIT // 2


def test_order_of_the_log_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    exchanges = [sorted(rng.choice(30, size=6, replace=False).tolist()) for _ in range(500)]
    component, weight, _ = parted(exchanges)
    again, weight_again, _ = parted([exchanges[place] for place in rng.permutation(500)])
    assert component.tolist() == again.tolist()
    assert weight.tolist() == weight_again.tolist()

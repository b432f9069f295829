"""The compiled scorer against a plain version that keeps whole features and makes every window."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwatch.objective.kernel import (
    CHUNKS_CAP,
    LONG,
    SHORT,
    SLOT_BITS,
    WEIGHT_LIMIT,
    best_sums,
    features,
    score,
)
from stillwatch.objective.model import pack
from stillwatch.segment import words_of

SLOT_MASK = (1 << SLOT_BITS) - 1

START = 0x9E3779B97F4A7C15
VOCABULARY = [
    "score",
    "each",
    "answer",
    "with",
    "the",
    "rubric",
    "and",
    "give",
    "a",
    "reason",
    "for",
    "it",
    "write",
    "out",
    "all",
    "steps",
    "of",
    "your",
    "thinking",
]


def plain_features(words, opens):
    """Feature hashes that each word opens, by the compiled hash but with Python's own bookkeeping."""
    out = []
    before = [START] * 4
    for word, opening in zip(words, opens, strict=True):
        if opening:
            before = [START] * 4
        out.append([int(value) for value in features(*(np.uint64(item) for item in before), np.uint64(word))])
        before = [*before[1:], int(word)]
    return out


def plain_best(words, opens, table):
    """Best window of each class: cut into chunks, then sum every chunk and every two neighbours."""
    chunks, current = [], []
    for at, opened in enumerate(plain_features(words, opens)):
        current.append(sum((table.get(feature, np.zeros(11, int)) for feature in opened), np.zeros(11, int)))
        last = at + 1 == len(words)
        if last or len(current) >= LONG or (opens[at + 1] and len(current) >= SHORT):
            chunks.append(sum(current))
            current = []
    windows = chunks + [left + right for left, right in pairwise(chunks)]
    return np.max(windows, axis=0)


def trained(seed=7):
    """Random weights on a random half of the features of the vocabulary, no two in a slot."""
    rng = np.random.default_rng(seed)
    words, _, opens = words_of(" ".join(rng.choice(VOCABULARY, 400)))
    found = sorted({feature for row in plain_features(words, opens) for feature in row})
    chosen = {feature & SLOT_MASK: feature for feature in found if rng.random() < 0.5}
    table = {feature: rng.integers(-WEIGHT_LIMIT, WEIGHT_LIMIT + 1, 11) for feature in chosen.values()}
    hashes = np.array(list(table), np.uint64)
    packed = pack(
        (hashes & np.uint64(SLOT_MASK)).astype(np.uint32),
        (hashes >> np.uint64(48)).astype(np.uint16),
        np.array(list(table.values()), np.int8),
    )
    return table, packed


TABLE, PACKED = trained()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(VOCABULARY), st.sampled_from([" ", " ", " ", ". ", "\n"])),
        min_size=1,
        max_size=220,
    )
)
def test_equals_the_plain_version(pairs):
    words, _, opens = words_of("".join(word + gap for word, gap in pairs))
    best = np.zeros(11, np.int64)
    best_sums(words, opens, len(words), PACKED, best)
    assert best.tolist() == plain_best(words, opens, TABLE).tolist()


def test_largest_weights_do_not_leave_their_lane():
    words, _, opens = words_of(" ".join(["again"] * (2 * LONG)))
    hashes = sorted({feature for row in plain_features(words, opens) for feature in row})
    sign = np.array([1, -1] * 5 + [1]) * WEIGHT_LIMIT
    packed = pack(
        np.array([value & SLOT_MASK for value in hashes], np.uint32),
        np.array([value >> 48 for value in hashes], np.uint16),
        np.tile(sign, (len(hashes), 1)).astype(np.int8),
    )
    best = np.zeros(11, np.int64)
    best_sums(words, opens, len(words), packed, best)
    assert best[0] == WEIGHT_LIMIT * 5 * 2 * LONG
    assert best[1] == -WEIGHT_LIMIT * 5 * LONG  # one chunk is the lesser evil


def test_untrained_words_add_nothing():
    words, _, opens = words_of("zebra quince ukulele marzipan lighthouse corduroy")
    best = np.zeros(11, np.int64)
    best_sums(words, opens, len(words), PACKED, best)
    assert best.tolist() == [0] * 11


@pytest.mark.parametrize(("intercept", "percent"), [(0.0, 50), (30.0, 100), (-30.0, 0)])
def test_percentages_stay_within_bounds(intercept, percent):
    words, _, opens = words_of("zebra")
    out = np.full(11, -1, np.int8)
    bias = np.stack([np.ones(11), np.full(11, intercept), np.zeros(11)]).astype(np.float32)
    score(words, opens, 1, PACKED, bias, out)
    assert out.tolist() == [percent] * 11


def test_each_doubling_of_the_chunks_costs_the_same_up_to_the_cap():
    bias = np.stack([np.ones(11), np.full(11, 2.0), np.full(11, -1.0)]).astype(np.float32)
    found = []
    for sentences in (1, 2, 32, 64):
        words, _, opens = words_of("Zebra quince ukulele marzipan lighthouse corduroy. " * sentences)
        out = np.zeros(11, np.int8)
        score(words, opens, len(words), PACKED, bias, out)
        found.append(int(out[0]))
    plain = [round(100 / (1 + np.exp(-2 + np.log(min(chunks, CHUNKS_CAP))))) for chunks in (1, 2, 32, 64)]
    assert found == plain


def test_empty_text_asks_for_nothing():
    out = np.full(11, -1, np.int8)
    bias = np.full((3, 11), 9, np.float32)
    score(np.empty(0, np.uint64), np.empty(0, np.uint8), 0, PACKED, bias, out)
    assert out.tolist() == [0] * 11

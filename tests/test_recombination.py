"""Which families are pieces of one recombined template, on texts of which the truth is known."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from stillwatch.campaigns import Groups, Suspicion
from stillwatch.evidence import Measured
from stillwatch.families.assign import Families, Rule, find_families
from stillwatch.families.fragments import Presence
from stillwatch.families.recombination import LEAST, Sequence, _recombined, recombination, taking_part
from stillwatch.fingerprint import sketch
from stillwatch.keys import Keys
from stillwatch.memberships import Members
from stillwatch.principals import Principals
from stillwatch.spool import opens_conversation
from stillwatch.wholes import _joined, _spread, of_senders, taken_in, wholes
from tests.conftest import exchange, to_batch, words

EXCHANGES, SENDERS = 1_500, 40
Texts = list[list[int]]


def worth(principals: NDArray[np.int64], texts: Texts) -> float:
    """How much one whole of these texts, each a list of fragments side by side, is recombined."""
    row = np.repeat(np.arange(len(texts), dtype=np.int32), [len(text) for text in texts])
    code = np.array([fragment for text in texts for fragment in text], np.int32)
    beside = np.r_[row[1:] == row[:-1], False]
    return _recombined(
        Sequence(row, code, beside), np.arange(len(texts), dtype=np.int32), principals.astype(np.int32)
    )


def senders(rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.integers(SENDERS, size=EXCHANGES)


def recombined(picks: NDArray[np.int64]) -> list[int]:
    """A fragment over each border of short sentences, of which the wordings are ``picks``."""
    return [100 * place + 6 * int(one) + int(other) for place, (one, other) in enumerate(pairwise(picks))]


def test_short_sentences_that_are_recombined_are_one_template() -> None:
    rng = np.random.default_rng(1)
    assert worth(senders(rng), [recombined(rng.integers(6, size=8)) for _ in range(EXCHANGES)]) > 0.8


def test_a_wording_that_each_principal_keeps_is_a_version() -> None:
    rng = np.random.default_rng(2)
    versions = [recombined(rng.integers(6, size=8)) for _ in range(SENDERS)]
    principals = senders(rng)
    assert worth(principals, [versions[owner] for owner in principals]) < 0.1


def test_the_features_of_a_product_lead_from_fragment_to_fragment() -> None:
    rng = np.random.default_rng(3)
    features = [list(range(100 * feature, 100 * feature + 8)) for feature in range(12)]
    assert worth(senders(rng), [features[one] for one in rng.integers(12, size=EXCHANGES)]) < 0.05


def test_an_exercise_of_a_course_is_quoted_as_it_stands() -> None:
    """Each student quotes some of the exercise from somewhere to somewhere, between words of its own."""
    rng = np.random.default_rng(4)
    starts = rng.integers(30, size=EXCHANGES)
    texts = [list(range(start, start + int(rng.integers(3, 12)))) for start in starts.tolist()]
    assert worth(senders(rng), texts) < 0.05


def test_a_form_with_fields_to_choose_in_stays_for_the_most_part() -> None:
    rng = np.random.default_rng(5)
    texts = [
        [
            fragment
            for field, pick in enumerate(rng.integers(6, size=4))
            for fragment in (100 * field, 100 * field + 1, 100 * field + 2, 100 * field + 10 + int(pick))
        ]
        for _ in range(EXCHANGES)
    ]
    assert worth(senders(rng), texts) < 0.3


def test_a_prompt_of_modules_comes_in_few_texts() -> None:
    rng = np.random.default_rng(7)
    modules = [recombined(rng.integers(2, size=5)) for _ in range(EXCHANGES)]
    assert worth(senders(rng), modules) < 0.05


@pytest.mark.parametrize(("stay", "most", "least"), [(1, 1.0, 0.8), (3, 0.05, 0.0)])
def test_a_prompt_that_stays_is_filled_from_a_stock(stay: int, most: float, least: float) -> None:
    """A judge's prompt with answers from a stock of sentences; where one sentence stays, the others are still reworded."""
    rng = np.random.default_rng(8)
    fixed = list(range(900, 900 + stay))
    texts = [fixed + recombined(rng.integers(6, size=11)) for _ in range(EXCHANGES)]
    assert least <= worth(senders(rng), texts) <= most


def test_what_a_grammar_of_items_makes_does_not_come_back() -> None:
    """Exercises with numbers drawn for each: what stands between them is sent in one exchange of a hundred and fifty."""
    rng = np.random.default_rng(9)
    drawn = rng.integers(144, size=(EXCHANGES, 4)) + 144 * np.arange(4)
    assert worth(senders(rng), drawn.tolist()) < 0.05


@pytest.mark.parametrize(
    ("texts", "whole"),
    [
        ("recombined", True),
        ("features", False),  # many, but each in exchanges of its own
        ("versions", False),  # the shared text is most of what is sent
    ],
)
def test_pieces_are_many_and_stand_in_exchanges_independently(texts: str, whole: bool) -> None:
    rng = np.random.default_rng(6)
    rows = np.arange(600)
    held = {
        "recombined": [(12 * place + rng.integers(12, size=600), rows) for place in range(3)],
        "features": [(rng.integers(12, size=600), rows)],
        "versions": [(np.zeros(600, int), rows), (1 + rng.integers(12, size=60), rows[:60])],
    }[texts]
    assert _spread(np.concatenate([p for p, _ in held]), np.concatenate([r for _, r in held])) == whole


def test_a_piece_belongs_to_the_suspect_that_holds_its_principals() -> None:
    """Suspects 0 and 1 share no principals; 2 is a piece of 1, and 3 is sent by strangers too."""
    users = [list(range(20)), list(range(20, 50)), list(range(22, 32)), [*range(24, 32), *range(60, 64)]]
    owner = np.repeat(np.arange(4), [len(own) for own in users])
    sizes, suspect = np.array([400, 300, 20, 20]), np.array([True, True, False, False])
    assert _joined(owner, np.concatenate(users), 100, sizes, suspect, 0.5).tolist() == [0, 1, 1, 3]


def test_a_sentence_asks_less_plainly_than_the_template_that_it_is_of() -> None:
    """Three places with four wordings each, of which one of the last scores 0.05 and another 0.02."""
    rng = np.random.default_rng(10)
    row = np.arange(600, dtype=np.int32)
    stream = np.concatenate([4 * place + rng.integers(4, size=600) for place in range(3)]).astype(np.int32)
    order = np.argsort(stream, kind="stable")
    members = Members(
        stream[order], np.tile(row, 3)[order], np.zeros((1800, 11), np.int8), np.zeros(1800, np.int32)
    )
    everybody, none = np.arange(SENDERS, dtype=np.int64), np.empty(0, np.int32)
    nobody = pa.array([""] * SENDERS)
    principals = Principals(
        everybody, rng.integers(SENDERS, size=600).astype(np.int32), nobody, nobody, nobody, everybody,
        0 * everybody, 0 * everybody + 10**12, everybody.astype(np.int32), everybody, (none, none.astype(np.int64)),
    )  # fmt: skip
    names = ("objective", "mixing", "pacing", "routine", "dose", "load", "rhythm", "wordings")
    value = np.zeros((12, len(names)))
    value[:, 0], value[:, 4] = [0.5] * 10 + [0.05, 0.02], 0.9
    weighed = Measured(names, value, value.astype(np.int64), np.zeros((12, len(names))), 0.0)
    found = wholes(members, weighed, principals, Suspicion(), [])
    assert found.tolist() == [0] * 11 + [-1]


def test_pieces_are_found_in_texts_whatever_batches_these_come_in(keys: Keys) -> None:
    """Sentences of three or four words, six wordings each, shatter into families; together these are one template."""
    families, batches, table, principals = sketched(keys, _short_sentences)
    assert len(families.names) >= 20
    whole = np.zeros(len(families.names), np.int32)
    found = recombination(batches, families, whole, families.family, families.row, principals)
    again = recombination(table.to_batches(), families, whole, families.family, families.row, principals)
    assert found.value.tolist() == again.value.tolist()
    assert found.value[0] >= LEAST
    assert found.whole.tolist() == whole.tolist()
    assert found.senders.tolist() == list(range(SENDERS))


def test_features_of_a_product_are_no_template(keys: Keys) -> None:
    families, batches, _, principals = sketched(keys, _feature)
    assert len(families.names) >= 8
    whole = np.zeros(len(families.names), np.int32)
    found = recombination(batches, families, whole, families.family, families.row, principals)
    assert found.value[0] < LEAST / 4
    assert (found.whole == -1).all()
    assert len(found.senders) == 0


def _short_sentences(rng: np.random.Generator) -> str:
    return " ".join(
        f"verb{place}x{pick} thing{place}x{pick} {'so ' * (place % 2)}end{place}x{pick}."
        for place, pick in enumerate(rng.integers(6, size=8).tolist())
    )


def _feature(rng: np.random.Generator) -> str:
    feature = int(rng.integers(10))
    return " ".join(f"feature{feature}word{number}" for number in range(24))


def sketched(
    keys: Keys, text: Callable[[np.random.Generator], str]
) -> tuple[Families, list[pa.RecordBatch], pa.Table, NDArray[np.int32]]:
    """Families of a log of such texts, each before a subject of its own; its batches, and the principal of each exchange."""
    rng = np.random.default_rng(9)
    rows = [
        exchange(number, f"a{number % SENDERS}", f"{text(rng)} {words(rng, 20)}")
        for number in range(2 * EXCHANGES)
    ]
    batches = [sketch(to_batch(rows[start : start + 700]), keys) for start in range(0, len(rows), 700)]
    rule = Rule()
    presence = Presence(rule.least_principals, slots=1 << 18)
    for batch in batches:
        presence.observe(batch)
    table = pa.Table.from_batches(batches).combine_chunks()
    names, of_row = np.unique(table["principal"].to_numpy(), return_inverse=True)
    families = find_families(batches, presence, names, opens_conversation(table), rule)
    return families, batches, table, of_row.astype(np.int32)


def test_who_takes_no_part_in_a_whole_is_left_out_of_it_and_of_nothing_else() -> None:
    """Families 0 and 1 are pieces; principal 2 takes no part, and family 2 is no piece."""
    stream, row = np.array([0, 1, 0, 1, 0, 2], np.int32), np.array([0, 0, 1, 2, 3, 4], np.int32)
    of_row = np.array([0, 1, 1, 2, 2], np.int32)
    none = np.empty(0, np.int32)
    members = Members(
        stream, row, np.zeros((6, 11), np.int8), np.zeros(6, np.int32), none, none, none.astype(np.int64)
    )
    left = of_senders(members, np.array([0, 0, -1], np.int32), np.array([0, 1]), of_row)
    assert list(zip(left.stream.tolist(), left.row.tolist(), strict=True)) == [
        (0, 0),
        (1, 0),
        (0, 1),
        (1, 2),
        (2, 4),
    ]


Sent = list[tuple[int, list[int]]]
"""Exchanges: the principal of each, and the fragments that it holds."""


def takers(sent: Sent) -> tuple[list[int], list[int]]:
    """Pieces of the whole that these exchanges are, where ten numbers make a piece, and who takes part in it."""
    row = np.repeat(np.arange(len(sent), dtype=np.int32), [len(held) for _, held in sent])
    code = np.array([one for _, held in sent for one in held], np.int32)
    principal = np.array([who for who, _ in sent], np.int32)
    pieces, who = taking_part(Sequence(row, code, np.zeros(len(row), bool)), code // 10, principal)
    return pieces.tolist(), who.tolist()


def campaign(rng: np.random.Generator) -> Sent:
    """Principals 0 to 19, each exchange with one of eight wordings of each of six sentences (pieces 0 to 47)."""
    return [
        (who, [10 * (8 * place + int(rng.integers(8))) for place in range(6)])
        for who in range(20)
        for _ in range(15)
    ]


def test_who_meets_a_phrase_of_the_template_now_and_then_takes_no_part() -> None:
    rng = np.random.default_rng(11)
    sent = campaign(rng)
    sent += [(20 + one, [10 * int(rng.integers(8))]) for one in range(3) for _ in range(12)]
    assert takers(sent)[1] == list(range(20))


def test_what_fills_the_slots_belongs_to_others_too_and_leads_nobody_in() -> None:
    """The subjects are of a form of their own (pieces 50 to 53) that thirty students send as well, some with a phrase of the
    template too, so that they send half as much at once as the campaign does."""
    rng = np.random.default_rng(12)
    subject = [10 * (50 + part) for part in range(4)]
    sent = [(who, held + subject) for who, held in campaign(rng)]
    phrase = 10 * int(rng.integers(8))
    students = [(20 + one, subject + [phrase] * (one < 6)) for one in range(30) for _ in range(6)]
    pieces, who = takers(sent + students)
    assert who == list(range(20))
    assert max(pieces) < 48


def test_a_crowd_that_meets_one_phrase_does_not_set_what_is_usual() -> None:
    rng = np.random.default_rng(13)
    sent = campaign(rng)
    sent += [(20 + one, [10 * int(rng.integers(8))]) for one in range(200)]
    assert takers(sent)[1] == list(range(20))


def test_nobody_takes_part_in_nothing() -> None:
    assert takers([]) == ([], [])


def taken(whole: list[int], senders: list[list[int]]) -> list[int] | None:
    """Groups of families that are one group each, all accused, with wholes taken in; ``senders``: principals of each."""
    stream = np.repeat(np.arange(len(senders), dtype=np.int32), [len(own) for own in senders])
    row = np.arange(len(stream), dtype=np.int32)
    of_row = np.array([one for own in senders for one in own], np.int32)
    merged = Members(stream, row, np.zeros((len(row), 11), np.int8), np.zeros(len(row), np.int32))
    count = len(senders)
    groups = Groups(np.arange(count, dtype=np.int32), np.ones(count, bool), ())
    left = taken_in(groups, merged, of_row, list(range(count)), np.array(whole, np.int32))
    if left is None:
        return None
    assert np.bincount(left.label, left.core).tolist() == [1] * left.count
    return left.label.tolist()


def test_a_recombined_template_belongs_to_the_campaign_whose_principals_send_it() -> None:
    assert taken([-1, 0], [list(range(30)), list(range(28))]) == [0, 0]


def test_two_recombined_templates_of_one_hand_are_one_campaign() -> None:
    assert taken([0, 1], [list(range(30)), list(range(30))]) == [0, 0]


def test_a_recombined_template_of_others_stays_a_campaign_of_its_own() -> None:
    assert taken([-1, 0], [list(range(30)), list(range(20, 50))]) is None


def test_what_is_not_recombined_is_not_taken_in() -> None:
    assert taken([-1, -1], [list(range(30)), list(range(30))]) is None

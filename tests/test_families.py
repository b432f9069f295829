"""Families against a plain version that keeps everything in sets, and against planted truths."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from stillwatch.families import slots as family_slots
from stillwatch.families.assign import Families, Rule, find_families
from stillwatch.families.components import Joining
from stillwatch.families.fragments import Dictionary, Presence
from stillwatch.families.outlines import outline
from stillwatch.fingerprint import SKETCH_SCHEMA, sketch
from stillwatch.keys import Keys
from stillwatch.spool import opens_conversation
from tests.conftest import exchange, to_batch, words

Rows = list[dict[str, Any]]
Fills = tuple[NDArray[np.int32], NDArray[np.int64]]
RULE = Rule(least_principals=6, joining=Joining(together=3, overlap=0.1))


def families_of(
    rows: Rows, keys: Keys, chunk: int = 10_000, rule: Rule = RULE
) -> tuple[Families, Fills, list[str]]:
    batches = [sketch(to_batch(rows[start : start + chunk]), keys) for start in range(0, len(rows), chunk)]
    presence = Presence(rule.least_principals, slots=1 << 16)
    for batch in batches:
        presence.observe(batch)
    table = pa.Table.from_batches(batches, SKETCH_SCHEMA)
    principals = np.unique(table["principal"].to_numpy())
    families = find_families(batches, presence, principals, opens_conversation(table), rule)
    filled = family_slots.slots(batches, families, np.ones(len(families.names), bool), rule.fills)
    return families, filled, table["exchange_id"].to_pylist()


def as_sets(
    families: Families, slots: Fills, names: list[str]
) -> dict[str, tuple[frozenset[str], frozenset[int], frozenset[Any]]]:
    """Each family by name: its exchanges, fragments and fills, free of any order."""
    members, fragments, fills = defaultdict(set), defaultdict(set), defaultdict(set)
    for row, family in zip(families.row, families.family, strict=True):
        members[family].add(names[row])
    for value, family in zip(families.fragments, families.fragment_family, strict=True):
        fragments[family].add(int(value))
    for membership, fill in zip(*slots, strict=True):
        fills[families.family[membership]].add((names[families.row[membership]], int(fill)))
    return {
        name: (frozenset(members[index]), frozenset(fragments[index]), frozenset(fills[index]))
        for index, name in enumerate(families.identify())
    }


def naive(rows: Rows, keys: Keys, rule: Rule) -> set[tuple[frozenset[str], frozenset[int]]]:
    """The definition, with dictionaries and sets and no thought of speed: exchanges and fragments of each
    family."""
    exchanges = sketch(to_batch(rows), keys).to_pylist()
    owners: dict[int, set[int]] = defaultdict(set)
    holders: dict[int, set[str]] = defaultdict(set)
    for row in exchanges:
        for part in row["parts"]:
            for value in part["fragments"]:
                owners[value].add(row["principal"])
                holders[value].add(row["exchange_id"])
    heavy = {value for value, who in owners.items() if len(who) >= rule.least_principals}
    pair_owners: dict[tuple[int, int], set[int]] = defaultdict(set)
    pair_holders: dict[tuple[int, int], set[str]] = defaultdict(set)
    for row in exchanges:
        for part in row["parts"]:
            kept = [value for value in part["fragments"] if value in heavy]
            for left, right in pairwise(kept):
                if left != right:
                    pair = (min(left, right), max(left, right))
                    pair_owners[pair].add(row["principal"])
                    pair_holders[pair].add(row["exchange_id"])
    component = {value: {value} for value in heavy}
    for (left, right), who in pair_owners.items():
        most = max(len(holders[left]), len(holders[right]))
        if (
            len(who) >= rule.joining.together
            and len(pair_holders[left, right]) >= rule.joining.overlap * most
        ):
            union = component[left] | component[right]
            for value in union:
                component[value] = union
    found = set()
    for fragments in {frozenset(union) for union in component.values()}:
        matched = {
            row["exchange_id"]: len(
                {value for part in row["parts"] for value in part["fragments"]} & fragments
            )
            for row in exchanges
        }
        matched = {name: count for name, count in matched.items() if count}
        usual = sorted(matched.values())[len(matched) - 1 - len(matched) // 10]
        needed = max(np.ceil(rule.matched * usual), 2 if usual >= 4 else 1)
        members = frozenset(name for name, count in matched.items() if count >= needed)
        if (
            len({row["principal"] for row in exchanges if row["exchange_id"] in members})
            >= rule.least_principals
        ):
            found.add((members, fragments))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_families_equal_the_plain_version(planted: Callable[[int], Rows], keys: Keys, seed: int) -> None:
    rows = planted(seed)
    families, slots, names = families_of(rows, keys)
    found = {(members, fragments) for members, fragments, _ in as_sets(families, slots, names).values()}
    assert found == naive(rows, keys, RULE)


def test_any_chunking_and_any_order_give_the_same_families(
    planted: Callable[[int], Rows], keys: Keys
) -> None:
    rows = planted(0)
    whole = as_sets(*families_of(rows, keys))
    assert len(whole) >= 3
    for chunk in (1, 37, 450):
        assert as_sets(*families_of(rows, keys, chunk)) == whole
    shuffled = [rows[index] for index in np.random.default_rng(1).permutation(len(rows))]
    assert as_sets(*families_of(shuffled, keys, 100)) == whole


@pytest.mark.parametrize("key", range(20))
def test_planted_templates_are_found_whole_under_every_key(planted: Callable[[int], Rows], key: int) -> None:
    rows = planted(3)
    families = as_sets(*families_of(rows, Keys(local=bytes([key]) * 32)))
    for kind in "ga":
        own = {row["exchange_id"] for row in rows if row["account_id"].startswith(kind)}
        best = max(families.values(), key=lambda family: len(family[0] & own))
        assert len(best[0] & own) == len(own)
        assert best[0] == own, "a planted family holds planted exchanges alone"


def test_an_exchange_may_belong_to_a_client_and_to_a_template(keys: Keys) -> None:
    rng = np.random.default_rng(5)
    client = (
        "You are Lantern, a friendly helper that lives in the side panel of an editor and answers briefly."
    )
    rows = []
    for number in range(400):
        mine = number % 4 == 0
        text = (
            f"Grade the answer against the rubric and give a number from one to ten. {words(rng, 20)}"
            if mine
            else words(rng, 20)
        )
        rows.append(exchange(number, f"a{number % 40}", [("system", client), ("user", text)]))
    families, _, _ = families_of(rows, keys)
    per_row = np.bincount(families.row, minlength=len(rows))
    assert (per_row[::4] == 2).all()
    assert (per_row[1::4] == 1).all()
    assert sorted(np.bincount(families.family).tolist()) == [100, 400]


def test_more_of_the_same_log_merges_families_and_never_splits_them(
    planted: Callable[[int], Rows], keys: Keys
) -> None:
    rows = planted(2)
    early = as_sets(*families_of(rows[:500], keys))
    late = as_sets(*families_of(rows, keys))
    for members, fragments, _ in early.values():
        homes = [family for family in late.values() if fragments <= family[1]]
        assert len(homes) == 1
        assert members <= homes[0][0]


def test_a_worked_example_in_earlier_turns_counts_once_a_conversation(keys: Keys) -> None:
    rng = np.random.default_rng(6)
    example = "Here is a worked example of the grading that we expect from you in the following task"
    rows = []
    for number in range(60):
        turns = [("user", example), ("assistant", "Understood."), ("user", words(rng, 15))]
        if number % 2:
            turns += [("assistant", words(rng, 9)), ("user", words(rng, 12))]
        name = f"c{number // 2}"
        rows.append(exchange(number, f"a{number // 2}", turns, conversation_id=name))
    families, slots, names = families_of(rows, keys, chunk=7)
    ((members, _, _),) = as_sets(families, slots, names).values()
    assert members == {row["exchange_id"] for row in rows[::2]}


def test_presence_tables_merge_to_the_table_of_the_whole(planted: Callable[[int], Rows], keys: Keys) -> None:
    batch = sketch(to_batch(planted(1)), keys)
    whole, left, right = (Presence(8, slots=1 << 12) for _ in range(3))
    whole.observe(batch)
    left.observe(batch.slice(0, 300))
    right.observe(batch.slice(300))
    right.merge(left)
    assert (right.table == whole.table).all()
    with pytest.raises(ValueError, match="4096 and 8192 slots"):
        whole.merge(Presence(8, slots=1 << 13))


def test_outlines_say_of_every_exchange_what_it_holds_of_heavy_fragments(
    planted: Callable[[int], Rows], keys: Keys
) -> None:
    rows = planted(1)
    for number, row in enumerate(rows):  # a system prompt that many send, and some with a name in it
        row["messages"].insert(
            0,
            {
                "role": "system",
                "content": f"You are Lantern{number % 3 or number}, a helper who answers briefly and well.",
            },
        )
    batches = [sketch(to_batch(rows[start : start + 70]), keys) for start in range(0, len(rows), 70)]
    exchanges = [row for batch in batches for row in batch.to_pylist()]
    values = np.array(
        sorted({v for row in exchanges for part in row["parts"] for v in part["fragments"]})[::3]
    )
    heavy = Dictionary()
    heavy.encode(values)
    names = sorted({row["principal"] for row in exchanges})
    of_row = np.array([names.index(row["principal"]) for row in exchanges], np.int32)
    opening = np.ones(len(exchanges), bool)
    found = outline(batches, heavy, of_row, opening, len(names))
    place = {value: code for code, value in enumerate(values.tolist())}
    for row, exchange_ in enumerate(exchanges):
        for kind, role in enumerate(("system", "tools", "new")):
            own = [
                place[v]
                for p in exchange_["parts"]
                if p["role"] == role
                for v in p["fragments"]
                if v in place
            ]
            held = found.of_row[row, kind]
            assert (
                found.fragment[found.bounds[held] : found.bounds[held + 1]].tolist() if held >= 0 else []
            ) == own
    for held in range(len(found.role)):
        who = Counter(of_row[(found.of_row == held).any(axis=1)].tolist())
        users = slice(found.user_bounds[held], found.user_bounds[held + 1])
        assert dict(zip(found.user[users].tolist(), found.user_times[users].tolist(), strict=True)) == who
        assert found.times[held] == who.total()
    assert found.times.max() >= len(exchanges) // 3, "equal outlines are one"


def test_the_dictionary_numbers_every_value_once() -> None:
    rng = np.random.default_rng(7)
    values = rng.integers(-(2**62), 2**62, 5000)
    numbering = Dictionary(16)
    first = np.concatenate([numbering.encode(part) for part in np.array_split(np.repeat(values, 3), 11)])
    assert (numbering.values()[first] == np.repeat(values, 3)).all()
    assert numbering.size == len(values)
    assert (numbering.find(values + 1)[~np.isin(values + 1, values)] == -1).all()

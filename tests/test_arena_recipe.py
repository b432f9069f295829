"""Recipes: what they refuse, and that they survive a round trip through TOML."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwatch.arena.recipe import PRESETS, Operator, Recipe, RecipeError, Release, dumps, load, loads


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_toml(name):
    assert loads(dumps(PRESETS[name])) == PRESETS[name]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**62),
    prompt=st.text(st.characters(exclude_categories=("Cs",)), max_size=60),
    camouflage=st.floats(0.0, 0.95),
    files=st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=20), max_size=3),
)
def test_any_text_survives_toml(seed, prompt, camouflage, files):
    recipe = Recipe(
        seed=seed,
        prompts=tuple(files),
        operators=(Operator(prompt=prompt, camouflage=camouflage), Operator(name="two", venue="agent")),
        release=Release(day=3.5),
    )
    assert loads(dumps(recipe)) == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = ", "not TOML"),
        ("sead = 1", "unknown field 'sead'; it has seed, text, start"),
        ('seed = "1"', "seed: str was given, int is needed"),
        ("seed = true", "seed: bool was given, int is needed"),
        ('text = "c"', "text: 'c' is not one of a, b"),
        ('start = "2026-03-02"', "has no UTC offset; append +00:00"),
        ('start = "soon"', "is not an ISO 8601 time"),
        ("days = 0", "days: 0 is outside 1 to 3650"),
        ("innocents = 0", "nothing would be written"),
        ('withhold = ["names"]', "withhold: 'names' is not one of identities, network"),
        ("[[operators]]\ncamouflage = 0.99", "camouflage: 0.99 is outside 0.0 to 0.95"),
        ('[[operators]]\nobjectives = ["theft"]', "objectives: 'theft' is not one of elicited_reasoning"),
        ("[[operators]]\nobjectives = []", "objectives: none given"),
        ("[[operators]]\nin_a_row = 51", "in_a_row: 51 is outside 1 to 50"),
        ("[[operators]]\nban_after = 0", "ban_after: 0 is outside 1 to 1000000"),
        ("own_subjects = 1.5", "own_subjects: 1.5 is outside 0.0 to 1.0"),
        ('[[operators]]\nvenue = "moon"', "venue: 'moon' is not one of direct, agent"),
        ("[[operators]]\n[[operators]]", "two have the same name"),
        ("operators = 3", "operators: a list is needed"),
        ("release = 3", "release: a table is needed"),
        ("[release]\nday = nan", "day: nan is outside -3650 to 3650"),
        ("[shares]\nchat = -1.0", "shares.chat: -1.0 is outside 0.0 to"),
        ("[shares]\njob = nan", "shares.job: nan is outside 0.0 to"),
        ("[[operators]]\nstart_day = -5", "start_day: -5.0 is outside 0.0 to 3650"),
        ("days = 9\n[[operators]]\nstart_day = 9", "begins 9.0 days after the start of a log of 9 days"),
        ("[[operators]]\ndays = -1", "days: -1.0 is outside 0.0 to 3650"),
        ('start = "9999-12-30T00:00:00+00:00"', "is too late for 14 days; begin earlier"),
    ],
)
def test_errors_name_the_field_and_what_is_allowed(text, message):
    with pytest.raises(RecipeError) as caught:
        loads(text)
    assert message in str(caught.value)


def test_whole_numbers_pass_for_fractions(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text("[release]\nday = 3\n", encoding="utf-8")
    assert load(path).release.day == 3.0


def test_mimicry_changes_only_its_own_signal():
    operator = Operator(mimic="coverage", hours="round_the_clock").resolved()
    assert (operator.seed_repeats, operator.hours, operator.dispatch) == (4, "round_the_clock", "even")

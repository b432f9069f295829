"""Innocent populations: many families over several principals, organic rhythm, honest pipelines at night."""

from __future__ import annotations

import numpy as np
import pytest

from stillwatch.arena import Recipe
from stillwatch.arena.rhythm import HOUR
from stillwatch.arena.simulation import build
from stillwatch.arena.world import POPULATIONS, World


@pytest.fixture(scope="module", params=["a", "b"])
def planned(request) -> tuple[World, dict[str, np.ndarray]]:
    return build(Recipe(seed=3, text=request.param))


def of(planned, name: str) -> dict[str, np.ndarray]:
    _, rows = planned
    mask = rows["population"] == POPULATIONS.index(name)
    return {column: values[mask] for column, values in rows.items()}


def test_two_hundred_families_span_several_principals(planned):
    _, rows = planned
    pairs = np.unique(np.stack([rows["template"], rows["principal"]])[:, rows["template"] >= 0], axis=1)
    _, principals = np.unique(pairs[0], return_counts=True)
    assert (principals >= 2).sum() >= 200
    assert (principals >= 8).sum() >= 150


def test_principals_and_exchanges_are_about_what_was_asked(planned):
    world, rows = planned
    principals = np.unique(rows["principal"])
    assert 3_300 < len(principals) < 3_800
    assert 150_000 < len(rows["at"]) < 220_000
    users = world.people.column("end_user")[principals]
    assert (users > 0).sum() >= 650


def test_people_sleep_and_programs_of_the_night_do_not(planned):
    world, _ = planned
    offset = world.people.habits().utc_offset

    def by_hour(rows: dict[str, np.ndarray]) -> np.ndarray:
        local = (rows["at"] / HOUR + offset[rows["principal"]]) % 24
        return np.bincount(local.astype(int), minlength=24) / len(local)

    chat = by_hour(of(planned, "chat"))
    assert chat[2:6].sum() < 0.5 * chat[10:14].sum()
    night = by_hour(of(planned, "pipeline"))
    assert night[[20, 21, 22, 23, 0, 1, 2, 3, 4]].sum() > 0.95


def test_honest_pipelines_look_like_a_campaign_but_have_domains_of_their_own(planned):
    rows = of(planned, "pipeline")
    for template in np.unique(rows["template"]):
        own = rows["template"] == template
        principals = np.unique(rows["principal"][own])
        assert len(principals) >= 8
        assert len(np.unique(rows["filling_seed"][own])) == own.sum()
        profiles = {(p, q) for p, q in zip(rows["principal"][own], rows["profile"][own], strict=True)}
        assert len(profiles) == len({q for _, q in profiles}) == len(principals)


def test_benchmark_runs_repeat_the_same_items_in_full(planned):
    rows = of(planned, "benchmark")
    for template in np.unique(rows["template"][rows["template"] >= 0]):
        own = rows["template"] == template
        items = set(rows["filling_seed"][own].tolist())
        for principal in np.unique(rows["principal"][own]):
            assert set(rows["filling_seed"][own & (rows["principal"] == principal)].tolist()) == items


def test_enthusiasts_move_within_a_day_and_others_over_weeks(planned):
    world, _ = planned
    moved = np.array(list(world.adoption.values())) / (24 * HOUR) - world.recipe.release.day
    assert len(moved) == 70
    assert moved.max() < 1.0


def test_load_of_people_is_heavy_tailed(planned):
    counts = np.sort(np.unique(of(planned, "chat")["principal"], return_counts=True)[1])[::-1]
    assert counts[: len(counts) // 10].sum() > 0.3 * counts.sum()


def test_a_class_shares_an_address(planned):
    world, _ = planned
    rows = of(planned, "assignment")
    hosts = world.people.column("host", account=True)[world.people.column("account")]
    for template in np.unique(rows["template"][rows["template"] >= 0]):
        members = np.unique(rows["principal"][rows["template"] == template])
        _, sharing = np.unique(hosts[members], return_counts=True)
        assert sharing.max() > 0.4 * len(members)

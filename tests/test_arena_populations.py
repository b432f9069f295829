"""Innocent populations: many families over several principals, organic rhythm, honest pipelines at night."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from stillwatch.arena import Operator, Recipe
from stillwatch.arena.render import BROAD
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


def test_enthusiasts_and_a_third_of_the_programs_move_within_a_day(planned):
    world, _ = planned
    moved = np.array(list(world.adoption.values())) / (24 * HOUR) - world.recipe.release.day
    assert moved.min() >= 0.0
    assert moved.max() < 1.0
    early = np.array(sorted(world.adoption))
    assert np.isin(np.unique(of(planned, "enthusiast")["principal"]), early).all()
    assert not np.isin(np.unique(of(planned, "chat")["principal"]), early).any()
    for name in ("client", "tenant"):
        rows = of(planned, name)
        whole = []
        for template in np.unique(rows["template"]):
            members = np.unique(rows["principal"][rows["template"] == template])
            whole.append(np.isin(members, early).mean())
        assert set(whole) == {0.0, 1.0}
        assert 0.2 < np.mean(whole) < 0.45
    assert 0.2 < np.isin(np.unique(of(planned, "integrator")["principal"]), early).mean() < 0.45


def test_a_third_of_honest_collectors_asks_for_more(planned):
    def asks(rows: dict[str, np.ndarray]) -> np.ndarray:
        swept = np.isin(np.round(rows["temperature"].astype(float), 1), (0.4, 0.6, 0.8, 1.0))
        return (rows["sample_count"] > 0) | (rows["top_logprobs"] > 0) | (rows["max_tokens"] == 8192) | swept

    for name in ("pipeline", "grader"):
        rows = of(planned, name)
        templates = np.unique(rows["template"][rows["template"] >= 0])
        shares = np.array([asks(rows)[rows["template"] == template].mean() for template in templates])
        assert 0.15 < np.mean(shares > 0.5) < 0.5
        assert set(np.round(shares[shares > 0.9])) <= {1.0}
    rows = of(planned, "enthusiast")
    who = np.unique(rows["principal"])
    wanting = np.array([asks(rows)[rows["principal"] == one].any() for one in who])
    assert 0.25 < wanting.mean() < 0.4
    assert not asks(of(planned, "chat")).any()


def test_jobs_share_a_prompt_and_run_at_fixed_times_or_whenever_somebody_pushes(planned):
    world, _ = planned
    rows = of(planned, "job")
    offset = world.people.habits().utc_offset
    groups = np.unique(rows["template"])
    spreads = []
    for template in groups:
        own = {name: values[rows["template"] == template] for name, values in rows.items()}
        members, counts = np.unique(own["principal"], return_counts=True)
        assert 8 <= len(members) <= 30
        assert 10 <= counts.min() <= counts.max() <= 60
        assert len(np.unique(own["system"])) == 1
        assert own["system"][0] >= 0
        assert len(np.unique(own["profile"])) == len(members)
        assert own["turn"].max() == 0
        # Times of the day to five minutes: a few of them where they are fixed.
        slots = [
            len(np.unique(own["at"][own["principal"] == one] % (24 * HOUR) // (HOUR // 12)))
            for one in members
        ]
        spreads.append(np.mean(slots / counts))
        if spreads[-1] > 0.5:
            local = (own["at"] / HOUR + offset[own["principal"]]) % 24
            assert np.mean((local > 7) & (local < 20)) > 0.98
    # One kind or the other, and half of the groups each.
    fixed = np.array(spreads) < 0.2
    assert (np.array(spreads)[~fixed] > 0.8).all()
    assert len(groups) // 2 <= fixed.sum() <= (len(groups) + 1) // 2


def test_some_have_no_subjects_of_their_own():
    operator = Operator(accounts=10, exchanges_per_account=10, camouflage=0.9)
    recipe = Recipe(seed=3, innocents=800, exchanges=20_000, operators=(operator,))
    shares = {}
    for own in (1.0, 0.3, 0.0):
        _, rows = build(dataclasses.replace(recipe, own_subjects=own))
        for name in ("chat", "job", "camouflage"):
            mask = rows["population"] == POPULATIONS.index(name)
            shares[name, own] = np.mean(rows["profile"][mask] == BROAD)
        chat = rows["population"] == POPULATIONS.index("chat")
        people = np.unique(rows["principal"][chat])
        broad = np.unique(rows["principal"][chat & (rows["profile"] == BROAD)])
        kept = np.unique(rows["principal"][chat & (rows["profile"] != BROAD)])
        assert len(broad) == pytest.approx((1.0 - own) * len(people), abs=0.1 * len(people))
        assert not np.isin(broad, kept).any()
    for name in ("chat", "job", "camouflage"):
        assert shares[name, 1.0] == 0.0
        assert 0.0 < shares[name, 0.3] < 1.0
        assert shares[name, 0.0] == 1.0


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

"""Jobs of continuous integration and cron: unrelated accounts that run the same public tool."""

from __future__ import annotations

import numpy as np

from stillwatch.arena.draws import Integers, Unsigned, below, combine, key_of, ragged, unit
from stillwatch.arena.people import Group
from stillwatch.arena.plan import Plan
from stillwatch.arena.populations.chat import converse, menu
from stillwatch.arena.populations.clients import firm
from stillwatch.arena.populations.evaluation import single_rows
from stillwatch.arena.rhythm import DAY, HOUR, SECOND
from stillwatch.arena.world import World

_FEWEST, _MOST = 8, 30
"""Accounts of a tool."""
_FEW_REQUESTS, _MANY_REQUESTS = 10, 60
"""Of an account, in the whole log: a repository has so many pushes, however long the log is."""


def jobs(world: World, count: int, _total: float) -> list[Plan]:
    """Unrelated accounts that run a public tool from CI or cron, one request at a time, on their own code."""
    plans = []
    offer = menu(world)
    first = key_of(world.recipe.seed, "job", "first") % 2
    for index, size in enumerate(_sizes(world, count)):
        group = Group(
            *(f"job-{index}", "library", "en", "cloud"),
            organization="each" if index % 3 == 1 else "",
            weekend=(0.05, 0.5),
        )
        who = world.people.add(group, size)
        key = world.keys(size, "job", index)
        volumes = _FEW_REQUESTS + below(combine(key, 1), _MANY_REQUESTS - _FEW_REQUESTS + 1)
        owner, place = ragged(volumes)
        row_key = combine(key[owner], place + 10)
        fixed = (index + first) % 2 == 1
        at = _fixed_times(world, key, volumes) if fixed else _working_day(world, who[owner], row_key)
        system, request = _tool(world, index)
        domains = np.array([firm(world, "job", int(member)) for member in who])
        plans.append(
            converse(
                *(world, "job", single_rows(world, who[owner], at, row_key), offer),
                system=system,
                request=request,
                template=world.template(f"job-{index}"),
                profile=domains[owner],
            )
        )
    return plans


def _sizes(world: World, count: int) -> list[int]:
    """Accounts of each tool, 8 to 30 while there are enough of them."""
    generator = world.generator("job", "groups")
    sizes = []
    while count > 0:
        size = int(generator.integers(_FEWEST, _MOST + 1))
        if count - size < _FEWEST:
            size = count if count <= _MOST else count // 2
        sizes.append(size)
        count -= size
    return sizes


def _tool(world: World, index: int) -> tuple[int, int]:
    """Frames of system prompt and request; where tools run out, a fork with rules of its own."""
    templates = world.source.of_kind("job")
    first = key_of(world.recipe.seed, "job", "tool")
    segments = world.template_segments(templates[(first + index) % len(templates)])
    prompt = [segment for segment, is_sentence in segments if is_sentence]
    if index >= len(templates):
        rules = world.compose([world.passage("rule", "en", 1, 3)], 1, "job", index, narrow=True)
        prompt.append(world.shelf.choice([" " + rules[0]]))
    request = [segment for segment, is_sentence in segments if not is_sentence]
    return world.shelf.frame(*prompt), world.shelf.frame(*request)


def _working_day(world: World, principal: Integers, key: Unsigned) -> Integers:
    """Whenever somebody pushes: any moment of nine working hours, on the days that the account has."""
    habits = world.people.habits()
    offset = (habits.utc_offset[principal] * HOUR).astype(np.int64)
    day = (world.rhythm.people(habits, principal, key) + offset) // DAY
    begin = 9.0 + 0.5 * habits.chronotype[principal]
    return np.asarray(day * DAY - offset + ((begin + 9.0 * unit(combine(key, 2))) * HOUR).astype(np.int64))


def _fixed_times(world: World, key: Unsigned, volumes: Integers) -> Integers:
    """At the same few times of the day, to the seconds that a runner takes to start."""
    a_day = -(-volumes // world.recipe.days)
    owner, place = ragged(volumes)
    runs = -(-volumes // a_day)
    day = place // a_day[owner] * world.recipe.days // runs[owner]
    time = below(combine(combine(key, 3)[owner], place % a_day[owner]), 24 * 12) * (HOUR // 12)
    delay = 20 * SECOND * unit(combine(combine(key, 4)[owner], place))
    return np.asarray(day * DAY + time + delay.astype(np.int64))

"""Honest work that looks like extraction: benchmarks, graders, and nightly pipelines of unrelated firms."""

from __future__ import annotations

import numpy as np

from stillwatch.arena.draws import Integers, Unsigned, below, combine, key_of, ragged, unit
from stillwatch.arena.people import Group
from stillwatch.arena.plan import Plan
from stillwatch.arena.populations.chat import ask_for_more, converse, menu, split
from stillwatch.arena.populations.clients import firm
from stillwatch.arena.render import BROAD
from stillwatch.arena.rhythm import DAY, HOUR, SECOND
from stillwatch.arena.world import Sessions, World


def single_rows(world: World, principal: Integers, at: Integers, key: Unsigned) -> Sessions:
    """Rows that are a conversation each."""
    turns = np.ones(len(at), dtype=np.int64)
    return world.session_rows(principal, at % (world.recipe.days * DAY), turns, key)


def everyday(world: World, population: str, who: Integers, each: float) -> Plan:
    """What such people do besides: they chat like anybody."""
    volumes = world.volumes(len(who), each * len(who), 0.8, population, "everyday")
    return converse(world, population, world.sessions(who, volumes, population, "everyday"), menu(world))


def benchmarks(world: World, count: int, total: float) -> list[Plan]:
    """Runners of public benchmarks: each sends the same items in full, in order, in one or two runs."""
    who = world.people.add(Group("benchmark", client="library", weekend=(0.3, 1.0)), count)
    plans: list[Plan] = [everyday(world, "benchmark", who, 0.2 * total / max(count, 1))]
    harnesses = world.source.of_kind("harness")
    groups = split(who, max(1, count // 9), 8, world.generator("benchmark", "groups"))
    for index, members in enumerate(groups):
        items = int(max(8, 0.8 * total * len(members) / count / len(members) / 1.3))
        style = ("maths", "question", "code", "prose")[index % 4]
        whole = world.template_frame(harnesses[index % len(harnesses)])
        bare = world.shelf.frame(world.shelf.passage(f"{style}:en", 1, 3))
        runs = 1 + (combine(members.astype(np.uint64), 81) % np.uint64(5) < 1).astype(np.int64)
        run_owner, _ = ragged(runs)
        run_key = world.keys(len(run_owner), "run", index)
        begin = world.rhythm.people(world.people.habits(), members[run_owner], run_key)
        run, item = ragged(np.full(len(run_owner), items))
        pace = 2 + 40 * unit(combine(run_key, 2)) ** 3
        key = combine(run_key[run], item)
        at = begin[run] + ((item + unit(key)) * pace[run] * SECOND).astype(np.int64)
        rows = single_rows(world, members[run_owner][run], at, key)
        planned = converse(
            *(world, "benchmark", rows, menu(world)),
            request=bare if index % 3 == 1 else whole,
            template=world.template(f"benchmark-{index}"),
            profile=BROAD,
            filling_seed=combine(
                np.full(len(item), np.uint64(key_of(world.recipe.seed, "item", index))), item
            ),
            temperature=0.0,
            max_tokens=1024,
        )
        plans.append(planned)
    return plans


def graders(world: World, count: int, total: float) -> list[Plan]:
    """Unrelated people who grade their own data with public judge templates, in bursts."""
    who = world.people.add(Group("grader", client="library", weekend=(0.2, 0.9)), count)
    plans: list[Plan] = [everyday(world, "grader", who, 0.4 * total / max(count, 1))]
    judges = world.source.of_kind("judge")
    groups = split(who, len(judges), 8, world.generator("grader", "groups"))
    wanting = world.a_third(len(groups), "grader")
    for index, members in enumerate(groups):
        whole = world.template_frame(judges[index])
        volumes = world.volumes(len(members), 0.6 * total * len(members) / count, 1.0, "grader", index)
        bursts = np.maximum(1, volumes // 12)
        burst_owner, _ = ragged(bursts)
        burst_key = world.keys(len(burst_owner), "burst", index)
        begin = world.rhythm.people(world.people.habits(), members[burst_owner], burst_key)
        burst, place = ragged(np.maximum(1, volumes // bursts)[burst_owner])
        key = combine(burst_key[burst], place)
        at = begin[burst] + ((place + unit(key)) * 4 * SECOND).astype(np.int64)
        rows = single_rows(world, members[burst_owner][burst], at, key)
        domains = np.array([firm(world, "grader", int(member)) for member in members])
        plans.append(
            converse(
                *(world, "grader", rows, menu(world)),
                request=whole,
                template=world.template(f"grader-{index}"),
                profile=domains[burst_owner][burst],
                temperature=0.0,
            )
        )
        if wanting[index]:
            ask_for_more(plans[-1], np.repeat(world.keys(1, "grader", "wish", index), len(rows)))
    return plans


def pipelines(world: World, count: int, total: float) -> list[Plan]:
    """Firms that run the same open-source pipeline at night: evenly, each item once, keys made on one day."""
    templates = world.source.of_kind("pipeline")
    plans = []
    sizes = split(
        np.arange(count), max(1, min(count // 8, 3 * len(templates))), 8, world.generator("pipeline")
    )
    wanting = world.a_third(len(sizes), "pipeline")
    for index, members in enumerate(sizes):
        day = -60.0 + below(world.keys(1, "pipeline", index), 55).item()
        group = Group(
            *(f"pipeline-{index}", "library", "en", "cloud"),
            opened=(day, day + 1.0) if index % 3 else (-300.0, 0.0),
            organization="each" if index % 2 else "",
        )
        who = world.people.add(group, len(members))
        variant = f"{templates[index % len(templates)].template_id}-{index // len(templates)}"
        frame = _pipeline_frame(world, index)
        volumes = world.volumes(len(who), total * len(who) / count, 0.8, "pipeline", index)
        owner, place = ragged(volumes)
        key = world.keys(len(owner), "pipeline", index)
        nights = max(1, world.recipe.days - 1)
        night = place * nights // np.maximum(volumes[owner], 1)
        slot = unit(combine(who.astype(np.uint64), 91))[owner] * 5
        pace = unit(combine(who.astype(np.uint64), 92))[owner] * 3 + 0.5
        local = world.people.habits().utc_offset[who][owner]
        at = night * DAY + ((slot + unit(key) * pace + 20.0 - local) * HOUR).astype(np.int64)
        rows = single_rows(world, who[owner], at, key)
        domains = np.array([firm(world, "pipeline", int(member)) for member in who])
        plans.append(
            converse(
                *(world, "pipeline", rows, menu(world)),
                request=frame,
                template=world.template(f"pipeline-{variant}"),
                profile=domains[owner],
                temperature=0.2,
            )
        )
        if wanting[index]:
            ask_for_more(plans[-1], np.repeat(world.keys(1, "pipeline", "wish", index), len(rows)))
    return plans


def _pipeline_frame(world: World, index: int) -> int:
    """Frame of a pipeline; where templates run out, a fork with rules of its own in front."""
    templates = world.source.of_kind("pipeline")
    template = templates[index % len(templates)]
    whole = world.template_frame(template)
    if index < len(templates):
        return whole
    rules = world.compose([world.shelf.passage("rule:en", 1, 3)], 1, "fork", index)[0]
    return world.shelf.frame(world.shelf.choice([rules]), *world.shelf.frames[whole])

"""People who paste what others wrote: personas, viral prompts, an assignment, tests of a new model."""

from __future__ import annotations

import numpy as np

from stillwatch.arena.draws import Integers, below, combine, unit
from stillwatch.arena.frames import Segment
from stillwatch.arena.people import Group
from stillwatch.arena.plan import Plan
from stillwatch.arena.populations.chat import Menu, ask_for_more, converse, menu, split
from stillwatch.arena.rhythm import DAY, HOUR
from stillwatch.arena.world import Sessions, World


def paste(
    world: World,
    population: str,
    rows: Sessions,
    texts: list[list[str]],
    offer: Menu,
    *,
    share: float,
    favourites: int,
    own: list[Segment],
    names: str,
    fashion_days: float = 0.0,
) -> Plan:
    """Conversations that in a share of cases begin with one of the texts, in one of its variants."""
    frames, templates = [], []
    for number, variants in enumerate(texts):
        frames.append(world.shelf.frame(world.shelf.choice([" " + text for text in variants]), *own))
        templates.append(world.template(f"{names}-{number}"))
    taste = combine(rows.principal.astype(np.uint64), 61)
    chosen = combine(taste, below(combine(rows.key, 62), favourites))
    text = (unit(chosen) ** 1.3 * len(texts)).astype(np.int64)
    first = np.repeat(*_first_row(rows))
    pasted = unit(combine(rows.key[first], 63)) < share
    if fashion_days:
        # Each text has its days in the log, and nobody sends it before or after.
        peak = unit(world.keys(len(texts), "fashion", names))[text[first]] * world.recipe.days * DAY
        pasted &= np.abs(rows.at[first] - peak) < fashion_days * DAY
    planned = converse(world, population, rows, offer)
    begin = pasted & (rows.turn == 0)
    planned["request"] = np.where(begin, np.array(frames)[text], planned["request"]).astype(np.int32)
    planned["template"] = np.where(pasted, np.array(templates)[text[first]], -1).astype(np.int32)
    return planned


def _first_row(rows: Sessions) -> tuple[Integers, Integers]:
    """First row of every session, and how many rows it has."""
    begins = np.flatnonzero(rows.turn == 0)
    return begins, np.diff(np.concatenate([begins, [len(rows)]]))


def library(world: World, count: int, total: float) -> list[Plan]:
    """Persona prompts of a public library, in several variants, with the user's own matter after them."""
    plans = []
    for language, people in world.language_groups(count):
        who = world.people.add(Group(f"library-{language}", language=language, weekend=(0.6, 1.3)), people)
        volumes = world.volumes(people, total * people / count, 1.0, "library", language)
        rows = world.sessions(who, volumes, "library", language)
        number = max(1, min(70, people // 4))
        texts = personas(world, number, language)
        own = [world.passage("question", language, 1, 1)]
        plans.append(
            paste(
                *(world, "library", rows, texts, menu(world, language)),
                share=0.6,
                favourites=4,
                own=own,
                names=f"library-{language}",
            )
        )
    return plans


def personas(world: World, count: int, language: str) -> list[list[str]]:
    """Personas with up to three variants, as they drift apart while people copy them."""
    style, rule = world.style("persona", language), world.style("persona_rule", language)
    shelf = world.shelf
    texts = world.compose(
        [shelf.passage(style, 1, 1), shelf.passage(rule, 2, 5)], count, "persona", language, narrow=True
    )
    tails = world.compose([shelf.passage(rule, 1, 2)], count * 2, "tail", language, narrow=True)
    space = "" if language in ("zh", "ja", "th") else " "
    return [
        [text, text + space + tails[2 * number], tails[2 * number + 1] + space + text][: 1 + number % 3]
        for number, text in enumerate(texts)
    ]


def viral(world: World, count: int, total: float) -> list[Plan]:
    """Prompts that went round within days: everybody sends the same few, then talks about own things."""
    who = world.people.add(Group("viral", weekend=(0.7, 1.3)), count)
    rows = world.sessions(who, world.volumes(count, total, 0.9, "viral"), "viral")
    texts = [[text] for text in world.source.pool("viral", "en")]
    planned = paste(
        *(world, "viral", rows, texts, menu(world)),
        share=0.85,
        favourites=4,
        own=[],
        names="viral",
        fashion_days=2.5,
    )
    return [planned]


def assignments(world: World, count: int, total: float) -> list[Plan]:
    """Classes and offices: one address, the same task, in the same week."""
    plans = []
    sizes = split(np.arange(count), max(1, count // 20), 8, world.generator("assignment"))
    tasks = world.source.of_kind("assignment")
    for index, members in enumerate(sizes):
        share = len(members) / count
        group = Group(
            *(f"class-{index}", "browser", "en", "campus"),
            network_share=0.9,
            address_share=0.7,
            opened=(-200.0, -0.5) if index % 2 else (-6.0, -0.1),
            countries=(("US", "GB", "DE", "IN", "BR")[index % 5],),
        )
        who = world.people.add(group, len(members))
        rows = world.sessions(
            who, world.volumes(len(who), total * share, 0.6, "class", index), "class", index
        )
        rows.at = _within_week(world, rows.at, index)
        task = tasks[index % len(tasks)]
        topic = world.compose([world.shelf.passage("question:en", 1, 1)], 1, "task", index)[0]
        text = " ".join(part[0] for part in task.parts if isinstance(part, tuple)) + " " + topic
        own = [world.passage("prose", "en", 0, 3)]
        plans.append(
            paste(
                *(world, "assignment", rows, [[text]], menu(world)),
                share=0.6,
                favourites=1,
                own=own,
                names=f"assignment-{index}",
            )
        )
    return plans


def _within_week(world: World, at: Integers, index: int) -> Integers:
    """Move times into one week of the log, keeping the hours of the day and the order within sessions."""
    first = (index * 3) % max(1, world.recipe.days - 6)
    return np.asarray((at - first * DAY) % min(7 * DAY, world.recipe.days * DAY - first * DAY) + first * DAY)


def enthusiasts(world: World, count: int, total: float) -> list[Plan]:
    """People who try the new model within a day of its release, with the same few test questions."""
    who = world.people.add(Group("enthusiast", weekend=(0.8, 1.3)), count)
    rows = world.sessions(who, world.volumes(count, total, 0.8, "enthusiast"), "enthusiast")
    texts = [[text] for text in world.source.pool("tests", "en")]
    planned = paste(
        *(world, "enthusiast", rows, texts, menu(world)),
        share=0.4,
        favourites=4,
        own=[],
        names="release-test",
    )
    release = int(world.recipe.release.day * DAY)
    delay = (unit(combine(who.astype(np.uint64), 71)) * 20 * HOUR).astype(np.int64)
    world.adoption.update(zip(who.tolist(), (release + delay).tolist(), strict=True))
    wanting = world.a_third(count, "enthusiast")[np.searchsorted(who, rows.principal)]
    wish = combine(rows.principal[wanting].astype(np.uint64), 72)
    more = ask_for_more({name: values[wanting] for name, values in planned.items()}, wish)
    for name in ("sample_count", "top_logprobs", "temperature", "max_tokens"):
        planned[name][wanting] = more[name]
    return [planned]

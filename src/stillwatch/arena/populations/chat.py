"""People who chat: sessions with history, own topics, popular questions, stock follow-ups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stillwatch.arena.draws import Integers, Unsigned, below, combine, unit
from stillwatch.arena.frames import POOL, Segment
from stillwatch.arena.people import Group
from stillwatch.arena.plan import Plan, plan
from stillwatch.arena.world import LANGUAGES_WITHOUT_SPACES, Sessions, World


@dataclass(frozen=True, slots=True)
class Menu:
    """Frames that a conversation is made of, each list with the shares of its frames."""

    openings: Sequence[int]
    opening_shares: Sequence[float]
    follow_ups: Sequence[int]
    follow_up_shares: Sequence[float]
    replies: Sequence[int]
    reply_shares: Sequence[float]


def spaced(world: World, name: str, language: str) -> list[str]:
    """A pool's entries as pieces that stand after other text."""
    space = "" if language in LANGUAGES_WITHOUT_SPACES else " "
    return [space + entry for entry in world.source.pool(name, language)]


def menu(world: World, language: str = "en", popular: float = 0.12) -> Menu:
    """What conversations in a language consist of; popular is the share of much asked questions."""
    shelf = world.shelf

    def passage(style: str, low: int, high: int) -> Segment:
        return world.passage(style, language, low, high)

    question = shelf.frame(passage("question", 1, 2))
    story = shelf.frame(passage("prose", 1, 4), passage("question", 1, 2))
    much_asked = shelf.frame(shelf.pool(spaced(world, "popular", language), 2.2))
    code = shelf.frame(passage("question", 1, 1), shelf.choice(["\n"]), passage("code", 2, 7))
    openings, shares = [question, story, much_asked, code], [0.42, 0.4, popular, 0.06]
    if world.prompts[1] and language == "en":
        first, count = world.prompts
        openings, shares = [shelf.frame(Segment(POOL, first, count, 120)), *openings], [1.0, *shares]
    stock = shelf.frame(shelf.pool(spaced(world, "follow_ups", language), 1.6))
    opener = shelf.choice(spaced(world, "replies", language))
    closer = shelf.choice(spaced(world, "closings", language))
    return Menu(
        openings,
        shares,
        [stock, question, story],
        [0.25, 0.5, 0.25],
        [
            shelf.frame(opener, passage("prose", 2, 6)),
            shelf.frame(passage("prose", 2, 7), closer),
            shelf.frame(passage("prose", 1, 5)),
            shelf.frame(opener, shelf.choice(["\n"]), passage("code", 3, 7), closer),
        ],
        [0.35, 0.2, 0.37, 0.08],
    )


def converse(world: World, population: str, rows: Sessions, offer: Menu, **columns: Any) -> Plan:
    """Rows of conversations; columns override what the menu says."""
    opening = world.pick(offer.openings, offer.opening_shares, unit(combine(rows.key, 31)))
    follow_up = world.pick(offer.follow_ups, offer.follow_up_shares, unit(combine(rows.key, 32)))
    values = {
        "principal": rows.principal,
        "at": rows.at,
        "population": world.population(population),
        "conversation": rows.shown(0.5),
        "turn": rows.turn,
        "request": np.where(rows.turn == 0, opening, follow_up),
        "reply": world.pick(offer.replies, offer.reply_shares, unit(combine(rows.key, 33))),
        "profile": rows.principal,
        "wording_seed": combine(rows.key, 34),
        "filling_seed": combine(rows.key, 35),
        # Replies and their openings are chosen among all that there are.
        "wordings": 100,
    }
    return plan(len(rows), **{**values, **columns})


def chat(world: World, count: int, total: float) -> list[Plan]:
    """Chat users in every language of the text source."""
    plans = []
    for language, people in world.language_groups(count):
        who = world.people.add(Group(f"chat-{language}", language=language, weekend=(0.6, 1.3)), people)
        volumes = world.volumes(people, total * people / count, 1.1, "chat", language)
        rows = world.sessions(who, volumes, "chat", language)
        plans.append(converse(world, "chat", rows, menu(world, language)))
    return plans


def split(members: Integers, groups: int, smallest: int, generator: np.random.Generator) -> list[Integers]:
    """Members in groups of uneven size, none under the smallest while there are enough of them."""
    groups = max(1, min(groups, len(members) // smallest))
    weight = 1.0 / np.arange(1, groups + 1) ** 0.7
    extra = len(members) - groups * smallest if len(members) >= groups * smallest else 0
    sizes = np.full(groups, smallest) + np.floor(extra * weight / weight.sum()).astype(np.int64)
    shuffled = generator.permutation(members)
    return np.split(shuffled, np.cumsum(sizes)[:-1])


def ask_for_more(planned: Plan, key: Unsigned) -> Plan:
    """Let rows use the settings of somebody who wants many answers; rows with the same key use the same one.

    Several completions, log-probabilities, a sweep of temperatures, or room for long replies.
    """
    wish = below(combine(key, 1), 4)
    sweep = 0.2 + 0.2 * below(combine(planned["wording_seed"], 8), 5)
    planned["sample_count"][wish == 0] = 4
    planned["top_logprobs"][wish == 1] = 5 + 15 * below(combine(key[wish == 1], 2), 2)
    planned["temperature"] = np.where(wish == 2, sweep, planned["temperature"]).astype(np.float32)
    planned["max_tokens"][wish == 3] = 8192
    return planned

"""A reseller's pool without abuse: a few accounts through which many ordinary customers work."""

from __future__ import annotations

import numpy as np

from stillwatch.arena.draws import Integers, below, combine, unit
from stillwatch.arena.people import Group
from stillwatch.arena.plan import Array, Plan
from stillwatch.arena.populations.chat import menu
from stillwatch.arena.populations.pasted import paste, personas
from stillwatch.arena.world import World


def customers(world: World, population: str, total: int, *name: object) -> list[Plan]:
    """Whole sessions of ordinary customers, about so many exchanges, to be sent from somebody's accounts."""
    if total <= 0:
        return []
    count = max(1, total // 30)
    who = world.people.add_customers(Group(f"customer-{population}", weekend=(0.5, 1.3)), count)
    rows = world.sessions(who, world.volumes(count, total, 1.1, population, *name), population, *name)
    offer = menu(world)
    if world.library_texts is None:
        world.library_texts = personas(world, 60, "en")
    own = [world.passage("question", "en", 1, 1)]
    planned = paste(
        *(world, population, rows, world.library_texts, offer),
        share=0.15,
        favourites=3,
        own=own,
        names=f"{population}-library",
    )
    through_client = unit(combine(rows.principal.astype(np.uint64), 95)) < 0.35
    if world.client_frames:
        frames = np.array(world.client_frames)
        client = below(combine(rows.principal.astype(np.uint64), 96), len(frames))
        planned["system"] = np.where(through_client, frames[client], -1).astype(np.int32)
    return [planned]


def hand_over(planned: Plan, accounts: Integers, weights: Array, key_salt: int) -> None:
    """Give every session to one of the accounts; a customer mostly stays with one."""
    session = np.cumsum(planned["turn"] == 0)
    customer = planned["principal"].astype(np.uint64)
    sticky = combine(customer, key_salt)
    fresh = combine(combine(customer, session), key_salt + 1)
    choice = np.where(unit(combine(fresh, 1)) < 0.7, unit(combine(sticky, 2)), unit(combine(fresh, 3)))
    cdf = np.cumsum(weights) / np.sum(weights)
    planned["principal"] = accounts[np.searchsorted(cdf, choice, side="right")].astype(np.int32)


def pools(world: World, count: int, total: float) -> list[Plan]:
    """Honest pools of twenty accounts or so."""
    plans: list[Plan] = []
    for index, first in enumerate(range(0, count, 20)):
        size = min(20, count - first)
        group = Group(
            *(f"pool-{index}", "library", "en", "pool"),
            network_share=0.8,
            payment_share=0.9,
            opened=(-40.0, -10.0),
        )
        accounts = world.people.add(group, size)
        for planned in customers(world, "pool", round(total * size / count), index):
            planned["template"][:] = -1
            hand_over(planned, accounts, np.ones(size), 900 + index)
            plans.append(planned)
    return plans

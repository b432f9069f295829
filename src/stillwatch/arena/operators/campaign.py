"""One operator at work: accounts, dispatch, replacement, camouflage."""

from __future__ import annotations

from dataclasses import replace
from itertools import count as count_from

import numpy as np

from stillwatch.arena.draws import Integers, below, combine, key_of, ragged, unit
from stillwatch.arena.operators.hours import times, window
from stillwatch.arena.operators.wording import Work, works
from stillwatch.arena.people import Group
from stillwatch.arena.plan import Array, Plan, plan
from stillwatch.arena.populations.chat import menu
from stillwatch.arena.populations.pool import customers, hand_over
from stillwatch.arena.recipe import Operator
from stillwatch.arena.render import BROAD
from stillwatch.arena.rhythm import DAY, HOUR
from stillwatch.arena.world import World, apportion

_SHARE = {"none": 0.0, "some": 0.5, "all": 0.97}
_ADDRESS_SHARE = {"none": 0.0, "some": 0.3, "all": 0.9}
_MOST_RANDOM_BANS = 4
_ODD_COUNTRIES = ("SG", "RU", "VN", "TW")


def operate(world: World, operator: Operator, number: int) -> list[Plan]:
    """All exchanges of an operator's principals, camouflage included."""
    operator = operator.resolved()
    slots = _recruit(world, operator, operator.accounts, 0)
    volumes = _volumes(world, operator)
    extraction = _extract(world, operator, number, slots, volumes)
    total = int(volumes.sum())
    cover = round(total * operator.camouflage / (1.0 - operator.camouflage))
    plans = [extraction]
    for planned in customers(world, "camouflage", cover, operator.name):
        hand_over(planned, slots, volumes.astype(np.float64), key_of(operator.name) % 10_000)
        planned["at"] = _into_window(world, operator, planned)
        planned["operator"][:] = number
        planned["template"][:] = -1
        plans.append(planned)
    if operator.replacement != "none":
        _replace(world, operator, slots, plans)
    if operator.pivot:
        _pivot(world, plans)
    return plans


def _group(world: World, operator: Operator) -> Group:
    """How the operator's accounts look."""
    first = window(world, operator)[0] / DAY
    odd = operator.reach == "odd"
    together = operator.accounts_opened == "together"
    shared = operator.share_network != "none"
    return Group(
        kind=operator.name,
        client="library" if not shared else "python-requests/2.32.3",
        network=f"operator-{operator.name}" if shared else ("cloud" if odd else "home"),
        network_share=_SHARE[operator.share_network],
        address_share=_ADDRESS_SHARE[operator.share_address],
        payment_share=_SHARE[operator.share_payment],
        opened=(first - 3.0, first - 1.0) if together else (first - 365.0, first - 0.1),
        organization=operator.organization,
        countries=_ODD_COUNTRIES if odd else (),
    )


def _recruit(world: World, operator: Operator, count: int, generation: int) -> Integers:
    """New principals of the operator: accounts, or end users of the reseller."""
    group = replace(_group(world, operator), kind=f"{operator.name}-{generation}")
    if operator.venue == "reseller":
        if world.reseller_account < 0:
            holder = world.people.add(Group("reseller", client="library", network="cloud"), 1)
            world.reseller_account = world.people.account_of(int(holder[0]))
        return world.people.add_end_users(group, world.reseller_account, count)
    return world.people.add(group, count)


def _volumes(world: World, operator: Operator) -> Integers:
    """Extraction exchanges of every slot."""
    mean = operator.exchanges_per_account
    draw = world.generator("dispatch", operator.name).standard_normal(operator.accounts)
    spread = 0.08 * draw if operator.dispatch == "even" else 1.1 * draw
    return np.asarray(np.maximum(1, apportion(np.exp(spread), round(mean * operator.accounts))))


def _extract(world: World, operator: Operator, number: int, slots: Integers, volumes: Integers) -> Plan:
    """The exchanges that the operator is after."""
    owner, _ = ragged(volumes)
    count = len(owner)
    key = world.keys(count, "extraction", operator.name)
    at = times(world, operator, slots, volumes, key)
    # Sampling seeds without replacement over all accounts: shuffled, each one seed_repeats times.
    order = world.generator("seeds", operator.name).permutation(count) // operator.seed_repeats
    base = np.uint64(key_of(world.recipe.seed, "seeds", operator.name))
    done = works(world, operator)
    which = owner % len(done) if operator.disjoint else below(combine(key, 5), len(done))
    replies = menu(world).replies
    columns: dict[str, Array] = {}
    for name in Work.__slots__:
        columns[name] = np.array([getattr(work, name) for work in done])[which]
    planned = plan(
        count,
        principal=slots[owner],
        at=at,
        population=world.population("operator"),
        operator=number,
        extraction=True,
        conversation=world.new_conversations(count) if operator.venue == "agent" else -1,
        reply=np.array(replies)[below(combine(key, 6), len(replies))],
        profile=BROAD,
        wording_seed=key,
        filling_seed=base + order.astype(np.uint64),
        wordings=operator.wordings,
        **columns,
    )
    if operator.harvest:
        planned["sample_count"][:] = 4 + 4 * below(combine(key, 7), 2)
        planned["temperature"][:] = 0.4 + 0.2 * below(combine(key, 8), 5)
        planned["top_logprobs"][:] = 20 * below(combine(key, 9), 2)
        planned["max_tokens"][:] = 8192
    return planned


def _into_window(world: World, operator: Operator, planned: Plan) -> Integers:
    """Camouflage within the operator's time at work, hours of the day kept, sessions kept whole."""
    first, last = window(world, operator)
    days = max(1, (last - first) // DAY)
    begins = np.flatnonzero(planned["turn"] == 0)
    session = np.cumsum(planned["turn"] == 0) - 1
    start = planned["at"][begins]
    moved = (first // DAY) * DAY + start % (days * DAY)
    at = planned["at"] + (moved - start)[session]
    return np.asarray(np.minimum(at, world.recipe.days * DAY - 1))


def _replace(world: World, operator: Operator, slots: Integers, plans: list[Plan]) -> None:
    """Ban accounts as they go; a new one takes the place within hours, or sooner where the log ends."""
    horizon = world.recipe.days * DAY
    originals = slots
    for generation in count_from(1):
        # What a pause put off counts where it was sent: the plan is looked at anew for every generation.
        moments = _bans(world, operator, originals, slots, plans[0], generation)
        banned = np.flatnonzero((moments >= 0) & (moments < horizon))
        if not len(banned):
            return
        fresh = _recruit(world, operator, len(banned), generation)
        hours = 0.3 + 5.0 * unit(world.keys(len(banned), "pause", operator.name, generation))
        pause = np.minimum((hours * HOUR).astype(np.int64), (horizon - moments[banned]) // 2)
        back = moments[banned] + pause
        opened = back - np.minimum(HOUR // 4, pause)
        world.people.set_opened(fresh, opened) if operator.venue != "reseller" else None
        successor = np.full(world.people.principals, -1)
        opens = np.zeros(world.people.principals, dtype=np.int64)
        predecessor = slots[banned]
        successor[predecessor], opens[predecessor] = fresh, back
        slots = slots.copy()
        slots[banned] = fresh
        since = np.zeros(world.people.principals, dtype=np.int64)
        since[predecessor] = moments[banned]
        for planned in plans:
            _succeed(planned, successor, since, opens, horizon)


def _bans(
    world: World, operator: Operator, originals: Integers, slots: Integers, extraction: Plan, generation: int
) -> Integers:
    """Moment at which each slot's account of the time is banned, -1 where it is not."""
    order = np.lexsort((extraction["at"], extraction["principal"]))
    principal, at = extraction["principal"][order], extraction["at"][order]
    first = np.searchsorted(principal, slots)
    sent = np.searchsorted(principal, slots, side="right") - first
    if operator.replacement == "after_exchanges":
        last = np.minimum(first + operator.ban_after, len(at)) - 1
        return np.where(sent >= operator.ban_after, at[last] + 1, -1)
    if generation > _MOST_RANDOM_BANS:
        return np.full(len(slots), -1)
    draws = unit(combine(world.keys(_MOST_RANDOM_BANS, "ban", operator.name), originals[:, None])) * 8.0 + 2.0
    moments = (np.cumsum(draws, axis=1)[:, generation - 1] * DAY).astype(np.int64)
    moments += window(world, operator)[0]
    ends = at[np.minimum(first + sent, len(at)) - 1]
    return np.where((sent > 0) & (moments < ends), moments, -1)


def _succeed(planned: Plan, successor: Integers, since: Integers, opens: Integers, horizon: int) -> None:
    """Hand everything after a ban to the successor; what fell into the pause is sent at its start."""
    principal = planned["principal"].astype(np.int64)
    # A session that had begun before the ban goes on in the new account from its first turn after it.
    late = (successor[principal] >= 0) & (planned["at"] >= since[principal])
    early = late & (planned["at"] < opens[principal])
    jitter = planned["at"] - since[principal]
    moved = np.minimum(opens[principal] + jitter // 4, horizon - 1)
    planned["at"] = np.where(early, moved, planned["at"])
    planned["principal"] = np.where(late, successor[principal], principal).astype(np.int32)


def _pivot(world: World, plans: list[Plan]) -> None:
    """Move all accounts to the new model within a day of its release."""
    members = np.unique(np.concatenate([planned["principal"] for planned in plans]))
    delay = unit(combine(members.astype(np.uint64), 19)) * 12 * HOUR
    moments = (world.recipe.release.day * DAY + delay).astype(np.int64)
    world.adoption.update(zip(members.tolist(), moments.tolist(), strict=True))

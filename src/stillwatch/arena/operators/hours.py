"""When an operator's exchanges are sent: its hours, and how many an account sends in a row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stillwatch.arena.draws import Floats, Integers, Unsigned, below, combine, key_of, ragged, unit
from stillwatch.arena.people import COUNTRIES
from stillwatch.arena.recipe import Operator, RecipeError
from stillwatch.arena.rhythm import DAY, HOUR, SECOND
from stillwatch.arena.world import World

_NIGHT_BEGINS = 22
_NIGHT = 8 * HOUR
_SHORTEST_GAP, _LONGEST_GAP = 5.0, 120.0
"""Seconds between two exchanges of a run."""
_SITTING = (3, 8)
_SITTING_GAP = (HOUR // 120, HOUR // 3)
"""Half a minute to twenty between two requests of a sitting: a longer pause would end it."""


_OF_ALL = ("round_the_clock", "nightly", "bursts")
"""Hours of the operator, in which it does not matter which account sends."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """How exchanges are dealt out, or runs of exchanges."""

    slots: Integers
    """Principals at work."""
    owner: Integers
    """[run] position of its principal in slots."""
    place: Integers
    """[run] how many its principal has sent before."""
    volumes: Integers
    """[slot] runs."""
    key: Unsigned
    """[run] for draws."""
    length: Integers
    """[run] microseconds from its first exchange to its last."""
    begin: Floats
    """[slot] first moment of its work, microseconds from the start of the log."""
    end: Floats
    """[slot] last moment of its work."""


def window(world: World, operator: Operator) -> tuple[int, int]:
    """First and last moment of the work, microseconds from the start of the log."""
    horizon = world.recipe.days * DAY
    first = min(int(operator.start_day * DAY), horizon - 1)
    last = min(horizon, first + int(operator.days * DAY)) if operator.days else horizon
    return first, last


def times(world: World, operator: Operator, slots: Integers, volumes: Integers, key: Unsigned) -> Integers:
    """When the extraction exchanges are sent, slot by slot; key is for the draws of each."""
    first, last = window(world, operator)
    owner, place = ragged(volumes)
    begins = np.flatnonzero(place % operator.in_a_row == 0)
    run, inside = ragged(np.diff(np.concatenate([begins, [len(place)]])))
    passed = _passed(world, operator, key, inside)
    begin = np.full(len(slots), float(first))
    end = np.full(len(slots), float(last))
    if operator.accounts_opened == "organic":
        fate = combine(slots.astype(np.uint64), 17)
        begin += unit(combine(fate, 1)) * 0.5 * (last - first)
        end -= unit(combine(fate, 2)) * 0.3 * (last - first)
    dispatch = Dispatch(
        slots=slots,
        owner=owner[begins],
        place=place[begins] // operator.in_a_row,
        volumes=-(-volumes // operator.in_a_row),
        key=key[begins],
        length=np.maximum.reduceat(passed, begins),
        begin=begin,
        end=end,
    )
    moments = _moments(world, operator, dispatch)
    if operator.in_a_row > 1 and operator.hours in _OF_ALL and operator.accounts_opened == "together":
        moments = _in_turns(dispatch, moments)
    # A run that would outlast the window begins earlier, whole.
    moments = np.maximum(np.minimum(moments, last - 1 - dispatch.length), first)
    return np.asarray(np.clip(moments[run] + passed, first, last - 1))


def _passed(world: World, operator: Operator, key: Unsigned, inside: Integers) -> Integers:
    """Microseconds since the first exchange of the run; the gaps have a scale of the operator's own."""
    own = unit(world.keys(1, "gap", operator.name))
    scale = _SHORTEST_GAP * (_LONGEST_GAP / _SHORTEST_GAP) ** own
    gaps = np.clip(scale * (0.7 + 0.6 * unit(combine(key, 3))), _SHORTEST_GAP, _LONGEST_GAP)
    total = np.cumsum(np.where(inside > 0, (gaps * SECOND).astype(np.int64), 0))
    return np.asarray(total - total[np.arange(len(inside)) - inside])


def _moments(world: World, operator: Operator, dispatch: Dispatch) -> Integers:
    """When the runs begin."""
    match operator.hours:
        case "human":
            return _of_people(world, dispatch, dispatch.owner, dispatch.key)
        case "paced":
            return _paced(dispatch)
        case "nightly":
            return _nightly(world, operator, dispatch)
        case "bursts":
            return _bursts(world, operator, dispatch)
        case "sittings":
            return _sittings(world, operator, dispatch)
        case _:
            return _round_the_clock(dispatch)


def _in_turns(dispatch: Dispatch, moments: Integers) -> Integers:
    """The same moments, dealt out so that the accounts take turns, the busy ones more often."""
    phase = unit(combine(dispatch.slots.astype(np.uint64), 20))[dispatch.owner]
    turn = np.argsort((dispatch.place + phase) / dispatch.volumes[dispatch.owner], kind="stable")
    dealt = np.empty_like(moments)
    dealt[turn] = np.sort(moments)
    return dealt


def _round_the_clock(dispatch: Dispatch) -> Integers:
    """At any moment."""
    length = (dispatch.end - dispatch.begin)[dispatch.owner]
    drawn = dispatch.begin[dispatch.owner] + unit(combine(dispatch.key, 2)) * length
    return drawn.astype(np.int64)


def _paced(dispatch: Dispatch) -> Integers:
    """At the pace of a rate limit."""
    phase = 0.5 * unit(combine(dispatch.slots.astype(np.uint64), 18))[dispatch.owner]
    jitter = 0.3 * unit(combine(dispatch.key, 1))
    share = np.minimum((dispatch.place + phase + jitter) / dispatch.volumes[dispatch.owner], 0.9999)
    length = (dispatch.end - dispatch.begin)[dispatch.owner]
    return (dispatch.begin[dispatch.owner] + share * length).astype(np.int64)


def _of_people(world: World, dispatch: Dispatch, owner: Integers, key: Unsigned) -> Integers:
    """Moments drawn as for everybody, then moved into the slot's time at work, hours of the day kept."""
    begin, length = dispatch.begin, dispatch.end - dispatch.begin
    drawn = world.rhythm.people(world.people.habits(), dispatch.slots[owner], key)
    days = np.maximum(1, (length[owner] // DAY).astype(np.int64))
    return np.asarray((begin[owner] // DAY).astype(np.int64) * DAY + drawn % (days * DAY))


def _sittings(world: World, operator: Operator, dispatch: Dispatch) -> Integers:
    """A few requests some minutes apart, then a pause till the person comes again."""
    fewest, most = _SITTING
    owner, number = ragged(-(-dispatch.volumes // fewest))
    key = combine(combine(dispatch.slots.astype(np.uint64), 21)[owner], number)
    size = fewest + below(combine(key, 1), most - fewest + 1)
    sitting, inside = ragged(size)
    total = np.bincount(owner, weights=size, minlength=len(dispatch.slots)).astype(np.int64)
    _, place = ragged(total)
    used = place < dispatch.volumes[owner[sitting]]
    sitting, inside = sitting[used], inside[used]
    gaps = np.clip(world.rhythm.gaps(combine(dispatch.key, 4)), *_SITTING_GAP)
    gaps += np.concatenate([[0], dispatch.length[:-1]])
    passed = np.cumsum(np.where(inside > 0, gaps, 0))
    passed -= passed[np.arange(len(inside)) - inside]
    begins = _of_people(world, dispatch, owner, key)[sitting]
    whole = np.zeros(len(owner), dtype=np.int64)
    np.maximum.at(whole, sitting, passed + dispatch.length)
    return np.asarray(np.minimum(begins, window(world, operator)[1] - 1 - whole[sitting]) + passed)


def _nightly(world: World, operator: Operator, dispatch: Dispatch) -> Integers:
    """From 22 to 6 h in the one time zone of the operator."""
    first, last = window(world, operator)
    if last - first < DAY:
        raise RecipeError(
            f"hours: 'nightly' needs a day at work at least, {operator.name!r} has "
            f"{(last - first) / DAY:.2f}; give it more days or other hours"
        )
    offset = COUNTRIES[key_of(world.recipe.seed, operator.name, "zone") % len(COUNTRIES)][1]
    evening = (_NIGHT_BEGINS - offset) * HOUR

    def nights(moment: Floats) -> Floats:
        """Microseconds of night before a moment."""
        whole, rest = np.divmod(moment - evening, float(DAY))
        return np.asarray(whole * _NIGHT + np.minimum(rest, _NIGHT))

    low, high = nights(dispatch.begin), nights(dispatch.end)
    # A slot whose span holds no night works in any of the operator's.
    none = high <= low
    low = np.where(none, nights(np.array([float(first)])), low)[dispatch.owner]
    high = np.where(none, nights(np.array([float(last)])), high)[dispatch.owner]
    night, passed = np.divmod(low + unit(combine(dispatch.key, 2)) * (high - low), float(_NIGHT))
    room = 1.0 - np.minimum(dispatch.length / _NIGHT, 1.0)
    return (night * DAY + evening + passed * room).astype(np.int64)


def _bursts(world: World, operator: Operator, dispatch: Dispatch) -> Integers:
    """In some ten batches of the operator's, the same for all accounts."""
    first, last = window(world, operator)
    number = 8 + key_of(world.recipe.seed, operator.name, "batches") % 5
    key = world.keys(number, "batch", operator.name)
    length = np.minimum((1.5 + 4.5 * unit(combine(key, 1))) * HOUR, float(last - first))
    begin = first + unit(combine(key, 2)) * (last - first - length)
    weight = length * (0.3 + unit(combine(key, 3)))
    open_to = (begin >= dispatch.begin[:, None]) & (begin + length <= dispatch.end[:, None])
    open_to |= ~open_to.any(axis=1, keepdims=True)
    cdf = np.cumsum(open_to * weight, axis=1)
    drawn = unit(combine(dispatch.key, 2)) * cdf[dispatch.owner, -1]
    batch = (cdf[dispatch.owner] <= drawn[:, None]).sum(axis=1)
    room = np.maximum(length[batch] - dispatch.length, 0.0)
    return np.asarray((begin[batch] + unit(combine(dispatch.key, 1)) * room).astype(np.int64))

"""Numbers, times and identities in words: one spelling for the page, the terminal and the charts."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

MINUS = "\N{MINUS SIGN}"
NUMBER_WORDS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")
SURE = 0.9995  # beyond it more digits would claim more than a fitted score can carry
START = "start"
"""Name in campaigns.json of the bits at which every text starts, before a signal speaks."""

SPOKEN = {
    "licensed": "licensed use",
    "none": "no finding",
    START: "any shared text",
    "peers": "word of a peer",
}


def count(number: int) -> str:
    """A whole number with separators.

    >>> count(196000)
    '196,000'
    """
    return f"{number:,}"


def quantity(number: int, noun: str) -> str:
    """A count with its noun, in the plural where it needs one.

    >>> quantity(1, "family"), quantity(3, "family"), quantity(2, "account")
    ('1 family', '3 families', '2 accounts')
    """
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{count(number)} {noun if number == 1 else plural}"


def number_word(number: int) -> str:
    """A small count as the first word of a sentence.

    >>> number_word(2), number_word(0), number_word(31)
    ('Two', 'No', '31')
    """
    return NUMBER_WORDS[number] if number < len(NUMBER_WORDS) else count(number)


def percent(probability: float) -> str:
    """A probability; never printed as certain in either direction.

    >>> percent(0.998), percent(0.99), percent(0.99999), percent(0.2), percent(0.00001)
    ('99.8%', '99%', 'over 99.9%', '20%', 'under 0.1%')
    """
    if probability >= SURE:
        return "over 99.9%"
    if probability < 1 - SURE:
        return "under 0.1%"
    digits = 1 if probability < 0.1 or probability > 0.9 else 0
    return f"{100 * probability:.{digits}f}".removesuffix(".0") + "%"


def share(fraction: float) -> str:
    """A measured part of a whole, which may well be all or nothing of it.

    >>> share(0.318), share(1.0), share(0.0)
    ('31.8%', '100%', '0%')
    """
    if 0 < fraction < 0.0005:
        return "under 0.1%"
    return f"{100 * fraction:.1f}".rstrip("0").rstrip(".") + "%"


def one_in(probability: float) -> str:
    """A prior as a frequency, which people read more surely than a decimal.

    >>> one_in(0.001), one_in(1e-5)
    ('1 in 1,000', '1 in 100,000')
    """
    if probability <= 0:
        return "never"
    return f"1 in {round(1 / probability):,}"


def signed_bits(bits: float) -> str:
    """Evidence with its sign; a positive sign speaks for extraction.

    >>> signed_bits(3.41), signed_bits(-1.2) == MINUS + "1.2", signed_bits(-0.04)
    ('+3.4', True, '0.0')
    """
    rounded = round(bits, 1)
    if rounded == 0:
        return "0.0"
    return f"{'+' if rounded > 0 else MINUS}{abs(rounded):.1f}"


def log_odds_bits(probability: float) -> float:
    """The odds of a probability in bits, so that evidence can be added to it.

    >>> log_odds_bits(0.5), round(log_odds_bits(0.001), 2)
    (0.0, -9.96)
    """
    bounded = min(max(probability, 1e-12), 1 - 1e-12)
    return math.log2(bounded / (1 - bounded))


def threshold_of(campaign: Mapping[str, Any], overview: Mapping[str, Any]) -> float:
    """Posterior that an accusation of a campaign takes; results of before doubts were counted have one for all."""
    return float(campaign.get("threshold_probability", overview["threshold_probability"]))


def figure(value: float | None) -> str:
    """A measured value to three significant figures.

    >>> figure(0.01312), figure(4200.0), figure(None)
    ('0.0131', '4,200', 'not measured')
    """
    if value is None:
        return "not measured"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def instant(time: str | datetime) -> datetime:
    """A UTC time from ISO 8601; a time that names no zone is UTC."""
    parsed = time if isinstance(time, datetime) else datetime.fromisoformat(time)
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def day(time: str | datetime) -> str:
    """The calendar day of a time.

    >>> day("2026-02-03T14:05:00Z")
    '3 Feb 2026'
    """
    at = instant(time)
    return f"{at.day} {at:%b %Y}"


def moment(time: str | datetime) -> str:
    """A time to the minute.

    >>> moment("2026-02-03T14:05:59Z")
    '3 Feb 2026, 14:05'
    """
    return f"{day(time)}, {instant(time):%H:%M}"


def period(first: str | datetime, last: str | datetime) -> str:
    """From one day to another, without repeating the month or the year.

    >>> period("2026-02-03T14:05:00Z", "2026-02-19T08:00:00Z")
    '3 to 19 Feb 2026'
    """
    start, end = instant(first), instant(last)
    if start.date() == end.date():
        return day(start)
    if (start.year, start.month) == (end.year, end.month):
        return f"{start.day} to {day(end)}"
    if start.year == end.year:
        return f"{start.day} {start:%b} to {day(end)}"
    return f"{day(start)} to {day(end)}"


def duration(seconds: int) -> str:
    """A step of time in the largest unit that divides it.

    >>> duration(3600), duration(21600), duration(86400), duration(604800)
    ('hour', '6 hours', 'day', '7 days')
    """
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds % size == 0:
            return unit if seconds == size else f"{seconds // size} {unit}s"
    return f"{seconds} seconds"


def spoken(name: str) -> str:
    """A machine name as words.

    >>> spoken("elicited_reasoning"), spoken("licensed")
    ('elicited reasoning', 'licensed use')
    """
    return SPOKEN.get(name, name.replace("_", " "))


def objective_name(name: str | None) -> str:
    """A training objective, or a family where the series of a chart is one, as words.

    >>> objective_name("rubric_grading"), objective_name("none")
    ('rubric grading', 'no objective recognised')
    """
    return "no objective recognised" if name in {None, "", "none"} else spoken(str(name))


def principal_name(account_id: str, end_user_id: str | None) -> str:
    """The principal as it is typed and read: the account, or account/end user."""
    return account_id if end_user_id is None else f"{account_id}/{end_user_id}"


def printable(text: str) -> str:
    r"""Text of a log made safe for a terminal and for XML: control and direction characters become visible.

    >>> printable("a\x1b[31mb\u202ec")
    'a\\u001b[31mb\\u202ec'
    """
    if text.isprintable():  # holds no character of these kinds, which is quickly told of most texts
        return text
    return "".join(f"\\u{ord(character):04x}" if _steers(character) else character for character in text)


def _steers(character: str) -> bool:
    if character in "\u200c\u200d":  # joiners belong to the spelling of several scripts
        return False
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn"} or character in "\u2028\u2029"

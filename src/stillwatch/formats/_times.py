"""Times of a log as microseconds since 1970, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from stillwatch.formats._stated import MalformedError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# A clock that says 1970 was never set, and one that says 2200 is broken. The years between 2000 and 2200 tell the
# unit of a number too, since the four ranges of seconds, milliseconds, microseconds and nanoseconds do not meet.
LATEST_SECONDS = 7_258_118_400
EARLIEST_SECONDS = 946_684_800


def to_microseconds(value: str | int | float) -> int:
    """Return a time as microseconds since 1970, UTC; a naive ISO time is read as UTC.

    >>> to_microseconds("2026-02-01T00:00:00+01:00") == to_microseconds("2026-01-31 23:00:00")
    True
    >>> to_microseconds(1_769_900_400.25), to_microseconds(1_769_900_400_250)
    (1769900400250000, 1769900400250000)
    """
    if isinstance(value, str):
        return _from_text(value)
    for unit in (1_000_000, 1_000, 1, 0.001):
        microseconds = value * unit
        if EARLIEST_SECONDS * 1_000_000 <= microseconds <= LATEST_SECONDS * 1_000_000:
            return round(microseconds)
    raise MalformedError("the time is a number outside of the years 2000 to 2200 in s, ms, us and ns")


def is_zoneless(value: str | int | float) -> bool:
    """Say whether a time is a text without an offset from UTC; numbers count from 1970 in UTC.

    >>> is_zoneless("2026-02-01T00:00:00"), is_zoneless("2026-02-01"), is_zoneless("2026-02-01T00:00:00+05:30")
    (True, True, False)
    """
    if not isinstance(value, str) or value[-1:] in ("Z", "z"):
        return False
    return "+" not in value and "-" not in value[10:] and not value.endswith(" UTC")


def _from_text(value: str) -> int:
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        try:
            # BigQuery and others write the zone as a word.
            time = datetime.fromisoformat(value.strip().removesuffix(" UTC"))
        except ValueError:
            raise MalformedError("the time is not ISO 8601") from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    microseconds = (time - EPOCH) // MICROSECOND
    if not EARLIEST_SECONDS * 1_000_000 <= microseconds <= LATEST_SECONDS * 1_000_000:
        raise MalformedError("the time is outside of the years 2000 to 2200")
    return microseconds

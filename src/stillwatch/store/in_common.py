"""How many principals a case has by two scans at once; counted when a scan is loaded, and not at every look.

With itself a scan has all of its own in common. So those who joined a case from one scan to another are the second's own
less what both have, and those who left it are the first's own less the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from stillwatch.store.tables import in_common, participants


def note(
    connection: Connection,
    case_id: str,
    scan_id: int,
    people: set[tuple[str, str]],
    earlier: Iterable[tuple[int, tuple[str, str]]],
) -> None:
    """Keep what a scan's principals of a case have in common with those of each scan that was loaded before."""
    counts = {scan_id: len(people)}
    for other_id, principal in earlier:
        counts[other_id] = counts.get(other_id, 0) + (principal in people)
    rows = [
        {"case_id": case_id, "scan_id": scan_id, "other_id": other_id, "principals": count}
        for other_id, count in counts.items()
    ]
    connection.execute(in_common.insert(), rows)


def moved(
    connection: Connection, names: Sequence[str], first: int, second: int
) -> dict[str, tuple[int, int]]:
    """How many principals joined each case from one scan to another, and how many left it."""
    later, earlier = max(first, second), min(first, second)
    query = sa.select(in_common.c.case_id, in_common.c.scan_id, in_common.c.other_id, in_common.c.principals)
    pairs = sa.tuple_(in_common.c.scan_id, in_common.c.other_id).in_(
        [(first, first), (second, second), (later, earlier)]
    )
    found = {
        (case, one, other): count
        for case, one, other, count in connection.execute(query.where(pairs, in_common.c.case_id.in_(names)))
    }
    told = {}
    for name in names:
        both = found.get((name, later, earlier), 0)
        told[name] = (
            found.get((name, second, second), 0) - both,
            found.get((name, first, first), 0) - both,
        )
    return told


def uncount(connection: Connection, account_id: str, end_user_id: str | None) -> None:
    """Count an account with its end users, or one of them, no longer; before the rows of their parts are removed."""
    one, other = participants.alias(), participants.alias()
    named = one.c.account_id == account_id
    if end_user_id is not None:
        named &= one.c.end_user_id == end_user_id
    alike = sa.and_(*(one.c[name] == other.c[name] for name in ("case_id", "account_id", "end_user_id")))
    lost = sa.select(sa.func.count()).select_from(one.join(other, alike)).where(
        named,
        one.c.case_id == in_common.c.case_id,
        one.c.scan_id == in_common.c.scan_id,
        other.c.scan_id == in_common.c.other_id,
    )  # fmt: skip
    within = in_common.c.case_id.in_(sa.select(one.c.case_id).where(named))
    left = in_common.c.principals - lost.correlate(in_common).scalar_subquery()
    connection.execute(in_common.update().where(within).values(principals=left))


def drop_scans(connection: Connection, old: sa.Select[tuple[int]]) -> None:
    """Forget what some scans had in common with any."""
    either = in_common.c.scan_id.in_(old) | in_common.c.other_id.in_(old)
    connection.execute(in_common.delete().where(either))

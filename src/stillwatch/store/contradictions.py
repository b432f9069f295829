"""What a decision ends by contradicting it, and what comes back when it is taken back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from stillwatch.response.actions import CLEARING, Finding, Scope
from stillwatch.store import audit
from stillwatch.store.let_be import because_of, settle
from stillwatch.store.tables import decisions


def end_contradicted(connection: Connection, number: int, by: str, now: dt.datetime) -> None:
    """Whoever is cleared is no longer hit; a whole case that is accused is no longer cleared as a whole."""
    row = connection.execute(sa.select(decisions).where(decisions.c.id == number)).mappings().one()
    ended = [other["id"] for other in _standing(connection, row) if _ends(row, other)]
    values = {"state": "ended", "ended_by": by, "ended_at": now, "ended_because": because_of(number)}
    connection.execute(decisions.update().where(decisions.c.id.in_(ended)).values(values))
    lifted = settle(connection, row["case_id"], now).let_be
    if ended or lifted:
        told = {"by": f"decision {number}", "ended": ended, "principals_let_be": lifted}
        audit.append(connection, now, by, "decision.lifted", row["case_id"], told)


def restore(connection: Connection, number: int) -> list[int]:
    """Let stand again what a decision had ended, but for what another that stands would have ended since."""
    ended = (decisions.c.ended_because == because_of(number)) & (decisions.c.state == "ended")
    restored = []
    for one in (
        connection.execute(sa.select(decisions).where(ended).order_by(decisions.c.id)).mappings().all()
    ):
        own = decisions.c.id == one["id"]
        since = (one["decided_at"], one["id"])
        later = next(
            (
                each
                for each in _standing(connection, one)
                if (each["decided_at"], each["id"]) > since and _ends(each, one)
            ),
            None,
        )
        if later is not None:
            other = {"ended_because": because_of(later["id"])}
            connection.execute(decisions.update().where(own).values(other))
            continue
        values = {"state": "standing", "ended_by": None, "ended_at": None, "ended_because": None}
        connection.execute(decisions.update().where(own).values(values))
        restored.append(one["id"])
    return restored


def grounds_of(connection: Connection, row: RowMapping) -> set[str]:
    """What lets nobody be any more when a decision is taken back; of families it takes all of a campaign's."""
    grounds = {because_of(row["id"])}
    if row["scope"] == Scope.FAMILY and row["finding"] in CLEARING:
        alike = [one for one in _standing(connection, row) if one["scope"] == Scope.FAMILY]
        grounds |= {because_of(one["id"]) for one in alike if one["finding"] in CLEARING}
    return grounds


def _standing(connection: Connection, row: RowMapping) -> Sequence[RowMapping]:
    """The other decisions that stand on the case of one."""
    others = (
        decisions.c.case_id == row["case_id"],
        decisions.c.id != row["id"],
        decisions.c.state == "standing",
    )
    return connection.execute(sa.select(decisions).where(*others).order_by(decisions.c.id)).mappings().all()


def _ends(one: RowMapping, other: RowMapping) -> bool:
    """Whether a decision ends another: the same subject found otherwise since, or the whole case cleared."""
    clears = one["finding"] in CLEARING
    if (other["finding"] in CLEARING) == clears or one["finding"] == Finding.UNSURE:
        return False
    same = all(other[name] == one[name] for name in ("scope", "account_id", "end_user_id", "family_id"))
    return same or (clears and one["scope"] == Scope.CAMPAIGN)

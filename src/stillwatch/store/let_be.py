"""Who is let be: cleared by a decision that stands, or the winner of an appeal. Whom an action may hit is asked here alone.

The same grounds are not held against somebody twice, so what was found on one case counts on every case that shares a
family with it: its **kin**. Whoever changes what stands calls :func:`settle`, which marks the targets of the actions; all
that is read of a target (snapshots, messages, pages) goes by that mark.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from stillwatch.response.actions import CLEARING, Finding, Scope
from stillwatch.store import outbox
from stillwatch.store.tables import appeals, campaigns, cases, decisions, families, targets

Principal = tuple[str, str]
REVERSED = "reversed"
"""State of an appeal that was won."""

# Aliases of tables, made once: each copies all columns, which took longer than the statements themselves.
_own, _theirs, _found, _other = (families.alias() for _ in range(4))
_here, _there = campaigns.alias(), campaigns.alias()
_also = decisions.alias()


class Settled(NamedTuple):
    """What a change came to; a principal counts once for each decision."""

    let_be: int
    hit_again: int


def because_of(decision: int) -> str:
    """How a decision is named as the ground of what it ended."""
    return f"decision {decision}"


def because_of_appeal(number: int) -> str:
    """How an appeal is."""
    return f"appeal {number}"


def kin(case_id: str) -> sa.CompoundSelect[Any]:
    """A case and those that share a family with it, by any scan."""
    shared = (
        sa.select(_there.c.case_id)
        .select_from(_here)
        .join(_own, (_own.c.scan_id == _here.c.scan_id) & (_own.c.campaign_id == _here.c.campaign_id))
        .join(_theirs, _theirs.c.family_id == _own.c.family_id)
        .join(
            _there, (_there.c.scan_id == _theirs.c.scan_id) & (_there.c.campaign_id == _theirs.c.campaign_id)
        )
        .where(_here.c.case_id == case_id)
    )
    return sa.union(shared, sa.select(sa.literal(case_id)))


def let_be(
    case_id: str,
    finding: Finding = Finding.EXTRACTION,
    family_id: str | None = None,
    *,
    anywhere: bool = False,
) -> sa.CompoundSelect[Any]:
    """Principals whom no action of a case may hit (``account_id``, ``end_user_id``), and the ``because`` of each.

    A clearing of the case as a whole is ended by a later finding of extraction, so it counts here for kin alone; but not
    by ``unsure``, which says nothing against it. ``family_id``: an action on it, for the same reason. ``anywhere``: by any
    case, where nobody looks before they are hit.
    """
    known = sa.true() if anywhere else decisions.c.case_id.in_(_names(case_id))
    stands = (decisions.c.state == "standing", decisions.c.finding.in_(CLEARING), known)
    whole = decisions.c.scope == Scope.CAMPAIGN
    if finding is not Finding.UNSURE:
        whole &= decisions.c.case_id != case_id
    subjects = sa.or_(decisions.c.scope == Scope.PRINCIPAL, whole, _nothing_left(case_id))
    if finding is Finding.UNSURE and family_id is not None:
        subjects |= decisions.c.family_id == family_id
    because = (sa.literal(because_of(0)[:-1]) + sa.cast(targets.c.decision_id, sa.Text)).label("because")
    # The clearings are few, and are found before their many targets.
    clearings = sa.select(decisions.c.id).where(*stands, subjects)
    cleared = sa.select(targets.c.account_id, targets.c.end_user_id, because).where(
        targets.c.decision_id.in_(clearings)
    )
    won_by = (sa.literal(because_of_appeal(0)[:-1]) + sa.cast(appeals.c.id, sa.Text)).label("because")
    won = sa.select(appeals.c.account_id, appeals.c.end_user_id, won_by).where(
        appeals.c.state == REVERSED, sa.true() if anywhere else appeals.c.case_id.in_(_names(case_id))
    )
    return sa.union_all(cleared, won)


def not_let_be(
    connection: Connection,
    who: sa.FromClause,
    case_id: str,
    finding: Finding = Finding.EXTRACTION,
    family_id: str | None = None,
) -> sa.ColumnElement[bool]:
    """Whether a row of principals is none of those of :func:`let_be`; a statement to ask with in the same transaction."""
    if not _anybody(connection, list(connection.execute(kin(case_id)).scalars())):
        return sa.true()
    found = let_be(case_id, finding, family_id).subquery()
    same = (found.c.account_id == who.c.account_id, found.c.end_user_id == who.c.end_user_id)
    return ~sa.exists().where(*same)


def _names(case_id: str) -> sa.Select[Any]:
    found = kin(case_id).subquery()
    return sa.select(found.c[0])


def _nothing_left(case_id: str) -> sa.ColumnElement[bool]:
    """Whether a clearing of a family left no family of its campaign, by the latest scan, that accuses."""
    cleared = sa.select(_also.c.family_id).where(
        _also.c.state == "standing",
        _also.c.finding.in_(CLEARING),
        _also.c.scope == Scope.FAMILY,
        _also.c.case_id.in_(_names(case_id)),
    )
    left = (
        sa.exists()
        .where(
            _other.c.scan_id == _found.c.scan_id,
            _other.c.campaign_id == _found.c.campaign_id,
            _other.c.family_id.not_in(cleared),
        )
        .correlate(_found)
    )
    newest = sa.select(cases.c.scan_id).where(cases.c.id == decisions.c.case_id).correlate(decisions)
    gone = (
        sa.exists()
        .where(
            _found.c.scan_id == newest.scalar_subquery(), _found.c.family_id == decisions.c.family_id, ~left
        )
        .correlate(decisions)
    )
    return sa.and_(decisions.c.scope == Scope.FAMILY, gone)


def settle(
    connection: Connection, case_id: str, now: dt.datetime, taken_back: Collection[str] = ()
) -> Settled:
    """Let be by every action of a case and its kin who may not be hit, and tell others; hit nobody again but those who
    were let be because of what was ``taken_back``, and by nothing else."""
    done = Settled(0, 0)
    names = list(connection.execute(kin(case_id)).scalars())
    if not taken_back and not _anybody(connection, names):
        return done
    for name in names:
        changed = Settled(0, 0)
        for finding in (Finding.EXTRACTION, Finding.UNSURE):
            found = _settle(connection, name, finding, now, taken_back)
            changed = Settled(changed.let_be + found.let_be, changed.hit_again + found.hit_again)
        if any(changed):
            outbox.note(connection, name, now)
        if any(changed) and name != case_id:
            seen = {"changed_at": now, "version": cases.c.version + 1}
            connection.execute(cases.update().where(cases.c.id == name).values(seen))
        done = Settled(done.let_be + changed.let_be, done.hit_again + changed.hit_again)
    return done


def _anybody(connection: Connection, case_ids: Sequence[str]) -> bool:
    """Whether anything that stands on these cases could let somebody be; on most nothing does, and one look says so."""
    clears = (decisions.c.state == "standing") & decisions.c.finding.in_(CLEARING)
    cleared = sa.select(decisions.c.id).where(decisions.c.case_id.in_(case_ids), clears)
    won = sa.select(appeals.c.id).where(appeals.c.case_id.in_(case_ids), appeals.c.state == REVERSED)
    return bool(connection.execute(sa.select(sa.exists(cleared) | sa.exists(won))).scalar_one())


def _settle(
    connection: Connection, case_id: str, finding: Finding, now: dt.datetime, taken_back: Collection[str]
) -> Settled:
    own = (
        decisions.c.case_id == case_id,
        decisions.c.finding == finding,
        decisions.c.state.in_(("standing", "ended")),
    )
    if connection.execute(sa.select(decisions.c.id).where(*own).limit(1)).first() is None:
        return Settled(0, 0)
    grounds: dict[Principal, set[str]] = defaultdict(set)
    spared = let_be(case_id, finding)
    for account, user, because in connection.execute(spared):
        grounds[account, user].add(because)
    if not grounds and not taken_back:
        return Settled(0, 0)
    found = spared.subquery()
    who = sa.tuple_(targets.c.account_id, targets.c.end_user_id)
    concerned = sa.or_(
        who.in_(sa.select(found.c.account_id, found.c.end_user_id)), targets.c.lifted_because.in_(taken_back)
    )
    rows = connection.execute(sa.select(targets).join(decisions).where(*own, concerned)).all()
    changes = [_change(row, grounds.get((row.account_id, row.end_user_id), set()), now) for row in rows]
    kept = [change for row, change in zip(rows, changes, strict=True) if change["why"] != row.lifted_because]
    if kept:
        one = sa.and_(
            targets.c.decision_id == sa.bindparam("decision"),
            targets.c.account_id == sa.bindparam("account"),
            targets.c.end_user_id == sa.bindparam("user"),
        )
        values: dict[str, Any] = {"lifted_at": sa.bindparam("at"), "lifted_because": sa.bindparam("why")}
        connection.execute(targets.update().where(one).values(values), kept)
    let, again = (
        sum(was.lifted_at is None and change["at"] is not None for was, change in zip(rows, changes, strict=True)),
        sum(was.lifted_at is not None and change["at"] is None for was, change in zip(rows, changes, strict=True)),
    )  # fmt: skip
    return Settled(let, again)


def _change(row: sa.Row[Any], grounds: set[str], now: dt.datetime) -> dict[str, Any]:
    """The mark of a target: by the ground that it has, where that is one still, or by another."""
    why = row.lifted_because if row.lifted_because in grounds else min(grounds, default=None)
    at = None if why is None else row.lifted_at or now
    key = {"decision": row.decision_id, "account": row.account_id, "user": row.end_user_id}
    return {**key, "at": at, "why": why}

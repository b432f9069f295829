"""What the rules of a policy propose of the open cases; a person takes a proposal up or turns it down.

A rule looks at cases that wait for people. What it proposes of a case it proposes once a scan; whoever turns it down is
asked again when the next scan finds the case.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from stillwatch.response.actions import Action, Finding, Scope, parameters_of
from stillwatch.response.decision import Wanted, check
from stillwatch.response.policy import Policy
from stillwatch.response.rules import Facts, Mode, Rule, first_that_fits, fits
from stillwatch.store import ConflictError, StoreError, audit
from stillwatch.store.database import Store
from stillwatch.store.decisions import decide_within
from stillwatch.store.policies import note_policy
from stillwatch.store.previews import preview_within
from stillwatch.store.tables import campaigns, cases, proposals, scans

OPEN_STATES = ("new", "in_review")
"""States of a case of which rules speak."""
SHADOW, OPEN, DONE = "shadow", "open", "done"
"""States of a proposal; after open comes ``taken``, ``dismissed`` or ``superseded``."""


def propose(
    store: Store, policy: Policy, by: str, now: dt.datetime, only: Iterable[str] | None = None
) -> list[dict[str, Any]]:
    """Let the rules look at the open cases, or at ``only`` these; return what is new, one row a proposal."""
    with store.writing() as connection:
        return propose_within(connection, policy, by, now, only)


def propose_within(
    connection: Connection, policy: Policy, by: str, now: dt.datetime, only: Iterable[str] | None = None
) -> list[dict[str, Any]]:
    """The same inside a transaction of :meth:`Store.writing`."""
    if not policy.rules:
        return []
    note_policy(connection, policy, by, now)
    query = sa.select(cases).where(cases.c.state.in_(OPEN_STATES)).order_by(cases.c.id)
    made: list[dict[str, Any]] = []
    calibrated = _calibrated(connection)
    wanted = None if only is None else frozenset(only)
    for row in connection.execute(query).mappings().all():
        if wanted is None or row["id"] in wanted:
            made += _of_case(connection, row, calibrated[row["scan_id"]], policy, now)
    counts: dict[str, int] = {}
    for one in made:
        counts[one["rule"]] = counts.get(one["rule"], 0) + 1
    if made:
        told = {"policy": policy.digest, "proposals": counts}
        audit.append(connection, now, by, "rules.looked", "store", told)
    return made


def _calibrated(connection: Connection) -> dict[int, bool]:
    """Scans, and whether each states an alpha."""
    found = connection.execute(sa.select(scans.c.id, scans.c.overview))
    return {number: (told.get("guarantee") or {}).get("alpha") is not None for number, told in found}


def _of_case(
    connection: Connection, row: RowMapping, calibrated: bool, policy: Policy, now: dt.datetime
) -> list[dict[str, Any]]:
    looked = sa.select(proposals.c.rule).where(
        proposals.c.case_id == row["id"],
        proposals.c.scan_id == row["scan_id"],
        proposals.c.digest == policy.digest,
    )
    known = set(connection.execute(looked).scalars())
    whole = preview_within(connection, _look(row["id"]), policy, most=0)[0]
    if not whole.principals:
        return []
    facts = Facts(
        row["verdict"], calibrated, row["probability"], row["exchanges"], whole.principals,
        whole.expected_innocent, now - row["opened_at"],
    )  # fmt: skip
    first = first_that_fits(policy.rules, facts)
    made = []
    for rule in policy.rules:
        chosen = rule is first or (rule.mode is Mode.SHADOW and fits(rule.when, facts))
        if chosen and rule.name not in known:
            made += _record(connection, row, rule, policy, now)
    return made


def _look(case_id: str) -> Wanted:
    return Wanted(case_id, Finding.EXTRACTION, Action.OBSERVE, "a look")


def _record(
    connection: Connection, row: RowMapping, rule: Rule, policy: Policy, now: dt.datetime
) -> list[dict[str, Any]]:
    """What a rule proposes; nothing where all whom it would hit are let be."""
    family = _largest_family(connection, row) if rule.scope is Scope.FAMILY else None
    wanted = check(
        Wanted(
            row["id"], rule.finding, rule.action, f"rule {rule.name}",
            Scope.FAMILY if family else Scope.CAMPAIGN, family_id=family, parameters=rule.parameters,
            lasts=rule.lasts, spread=rule.spread, follows=rule.follows,
        ),
        policy,
    )  # fmt: skip
    hit = preview_within(connection, wanted, policy, most=0)[0]
    if not hit.principals:
        return []
    values = {
        "case_id": row["id"],
        "scan_id": row["scan_id"],
        "rule": rule.name,
        "digest": policy.digest,
        "state": SHADOW if rule.mode is Mode.SHADOW else OPEN,
        "finding": str(rule.finding),
        "action": str(rule.action),
        "parameters": parameters_of(rule.action, rule.parameters),
        "family_id": family,
        "lasts_s": int((wanted.lasts or policy.lasts).total_seconds()),
        "spread_s": int((wanted.spread if wanted.spread is not None else policy.spread).total_seconds()),
        "follows": rule.follows,
        "principals": hit.principals,
        "expected_innocent": hit.expected_innocent,
        "made_at": now,
    }
    if rule.mode is not Mode.SHADOW:
        _supersede(connection, row["id"], policy, now)
    if rule.mode is Mode.ACT:
        values |= _observe(connection, row, wanted, policy, now)
    number = connection.execute(proposals.insert().returning(proposals.c.id), values).scalar_one()
    return [{"id": int(number), **values}]


def _supersede(connection: Connection, case_id: str, policy: Policy, now: dt.datetime) -> None:
    """Close what another policy or an earlier scan proposed of a case, so that one proposal is open at most."""
    closed = {"state": "superseded", "closed_at": now, "closed_because": f"policy {policy.digest}"}
    older = (proposals.c.case_id == case_id) & (proposals.c.state == OPEN)
    connection.execute(proposals.update().where(older).values(closed))


def _observe(
    connection: Connection, row: RowMapping, wanted: Wanted, policy: Policy, now: dt.datetime
) -> dict[str, Any]:
    """Mark the requests of a case, and leave the case where it stands in the queue: nobody has looked at it."""
    actor = str(wanted.reason)
    try:
        free = row["assignee"] is None
        number = decide_within(connection, wanted, actor, policy, now, None) if free else None
    except ConflictError as error:
        return {"state": DONE, "closed_by": actor, "closed_at": now, "closed_because": str(error)}
    stands = {"state": row["state"], "assignee": row["assignee"]}
    connection.execute(cases.update().where(cases.c.id == row["id"]).values(stands))
    why = None if free else f"{row['assignee']} is at work on it"
    return {"state": DONE, "decision_id": number, "closed_by": actor, "closed_at": now, "closed_because": why}


def _largest_family(connection: Connection, row: RowMapping) -> str | None:
    here = (campaigns.c.case_id == row["id"]) & (campaigns.c.scan_id == row["scan_id"])
    dossiers = connection.execute(sa.select(campaigns.c.dossier).where(here)).scalars()
    families = [family for dossier in dossiers for family in dossier["families"]]
    ordered = sorted(families, key=lambda family: (-family["exchanges"], family["family_id"]))
    return str(ordered[0]["family_id"]) if ordered else None


def waiting(
    store: Store, case_id: str | None = None, start: int = 0, most: int | None = None
) -> list[dict[str, Any]]:
    """Proposals that a person may take up, those on what is most certain first; of one case, or all."""
    query = (
        sa.select(proposals)
        .join(cases, cases.c.id == proposals.c.case_id)
        .where(
            proposals.c.state == OPEN,
            proposals.c.scan_id == cases.c.scan_id,
            cases.c.state.in_(OPEN_STATES),
        )
        .order_by(cases.c.probability.desc(), cases.c.exchanges.desc(), proposals.c.id)
        .offset(start)
        .limit(most)
    )
    if case_id is not None:
        query = query.where(proposals.c.case_id == case_id)
    with store.reading() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def counted(store: Store) -> list[dict[str, Any]]:
    """What each rule of each policy came to: proposals by state, and whom they would have hit."""
    query = (
        sa.select(
            proposals.c.digest,
            proposals.c.rule,
            proposals.c.state,
            sa.func.count().label("proposals"),
            sa.func.sum(proposals.c.principals).label("principals"),
            sa.func.sum(proposals.c.expected_innocent).label("expected_innocent"),
        )
        .group_by(proposals.c.digest, proposals.c.rule, proposals.c.state)
        .order_by(proposals.c.digest, proposals.c.rule, proposals.c.state)
    )
    with store.reading() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def accept(
    store: Store,
    number: int,
    by: str,
    reason: str,
    policy: Policy,
    now: dt.datetime,
    version: int | None = None,
) -> int:
    """Decide what a proposal says; return the number of the decision, which may wait for a second person.

    ``version``: of the case, as whoever decides has seen it.
    """
    with store.writing() as connection:
        row = _of_number(connection, number)
        wanted = check(_asked(row, reason), policy)
        decision = decide_within(connection, wanted, by, policy, now, version)
        _close(connection, number, "taken", by, reason, now, decision_id=decision)
        told = {"rule": row["rule"], "policy": row["digest"], "decision": decision}
        audit.append(connection, now, by, "proposal.taken", f"proposal {number}", told)
    return decision


def dismiss(store: Store, number: int, by: str, reason: str, now: dt.datetime) -> None:
    """Turn a proposal down."""
    if not reason.strip():
        raise StoreError("say why in a sentence; it is kept with the proposal")
    with store.writing() as connection:
        row = _of_number(connection, number)
        _close(connection, number, "dismissed", by, reason.strip(), now)
        told = {
            "rule": row["rule"],
            "policy": row["digest"],
            "case": row["case_id"],
            "reason": reason.strip(),
        }
        audit.append(connection, now, by, "proposal.dismissed", f"proposal {number}", told)


def _asked(row: Mapping[Any, Any], reason: str) -> Wanted:
    family = row["family_id"]
    wanted = Wanted(
        row["case_id"], Finding(row["finding"]), Action(row["action"]), reason,
        Scope.FAMILY if family else Scope.CAMPAIGN, family_id=family, parameters=dict(row["parameters"]),
        follows=row["follows"],
    )  # fmt: skip
    lasts, spread = dt.timedelta(seconds=row["lasts_s"]), dt.timedelta(seconds=row["spread_s"])
    return replace(wanted, lasts=lasts, spread=spread)


def _of_number(connection: Connection, number: int) -> RowMapping:
    row = connection.execute(sa.select(proposals).where(proposals.c.id == number)).mappings().first()
    if row is None:
        raise StoreError(f"there is no proposal {number}; `stillwatch policy list` names them")
    if row["state"] != OPEN:
        raise ConflictError(f"proposal {number} is {row['state']} and not open; nothing was changed")
    scan = connection.execute(sa.select(cases.c.scan_id).where(cases.c.id == row["case_id"])).scalar_one()
    if scan != row["scan_id"]:
        raise ConflictError(
            f"{row['case_id']} was found by another scan since; let the rules look at it again"
        )
    return row


def _close(
    connection: Connection, number: int, state: str, by: str, reason: str, now: dt.datetime, **more: Any
) -> None:
    values = {"state": state, "closed_by": by, "closed_at": now, "closed_because": reason, **more}
    connection.execute(proposals.update().where(proposals.c.id == number).values(values))

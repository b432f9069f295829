"""A scan's result loaded into the store: its campaigns open cases or continue them."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from stillwatch.response.policy import Policy
from stillwatch.store import StoreError, audit, in_common, outbox
from stillwatch.store.database import Store
from stillwatch.store.following import follow, goes_on
from stillwatch.store.let_be import settle
from stillwatch.store.policies import note_policy
from stillwatch.store.proposals import SHADOW, propose_within
from stillwatch.store.tables import (
    NOBODY,
    accounts,
    campaigns,
    cases,
    decisions,
    exemplars,
    families,
    participants,
    scans,
    targets,
)
from stillwatch.store.templates import write_templates

FILES = ("overview.json", "campaigns.json", "accounts.parquet", "families.parquet", "matches.parquet")
ROWS = 20_000
"""Rows of a table that are written at once."""
AT_ONCE = 400
"""Values that one query names."""
CONTINUES = 0.5
"""Share of the smaller side's principals that a campaign and a case must have in common, where they share no family."""

LONGEST_NAME = 2_500
"""Bytes of the names of an account and its end user at most on PostgreSQL: a row of its indexes takes a third of a page."""

Principal = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of loading a result."""

    scan_id: int
    opened: tuple[str, ...]
    """Cases that were opened."""
    continued: tuple[str, ...]
    """Cases that a campaign of this scan continues."""
    joined: Mapping[str, int]
    """Principals that a case has gained, by case."""
    followed: int
    """Those of them that a standing decision now hits, since whoever made it said so."""
    reopened: int
    """Decided cases without newcomers that come back, since every action on them has ended and they go on."""
    proposed: int
    """What the rules of the policy propose, those in the shadow left out."""


def load(store: Store, folder: Path, by: str, policy: Policy, now: dt.datetime) -> Loaded:
    """Load a result, whole or not at all. Raises :class:`StoreError` where it is none, or was loaded before."""
    overview, found, digest = _documents(folder)
    with store.writing() as connection:
        if (
            earlier := connection.execute(sa.select(scans.c.id).where(scans.c.digest == digest)).scalar()
        ) is not None:
            raise StoreError(f"{folder} was loaded before, as scan {earlier}; nothing is left to do")
        note_policy(connection, policy, by, now)
        row = {
            "name": folder.resolve().name,
            "digest": digest,
            "loaded_at": now,
            "first_seen": _time(overview["log"]["first"]),
            "last_seen": _time(overview["log"]["last"]),
            "overview": overview,
        }
        scan_id = int(connection.execute(scans.insert().returning(scans.c.id), row).scalar_one())
        _write_tables(connection, folder, scan_id)
        assigned = {
            campaign["campaign_id"]: case for campaign, case in _continued(connection, found, scan_id)
        }
        opened: list[str] = []
        continued: list[str] = []
        joined: dict[str, int] = {}
        followed = reopened = 0
        grouped: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for campaign in found:
            grouped[assigned[campaign["campaign_id"]] or campaign["campaign_id"]].append(campaign)
        for case_id, parts in grouped.items():
            known = connection.execute(sa.select(cases.c.id).where(cases.c.id == case_id)).first() is not None
            (continued if known else opened).append(case_id)
            gained = _write_case(connection, case_id, parts, scan_id, now, known=known)
            if known:
                settle(connection, case_id, now)  # it may be of the kin of others now
            if known and gained:
                joined[case_id] = len(gained)
                audit.append(
                    connection, now, by, "case.joined", case_id, {"scan": scan_id, "principals": len(gained)}
                )
                followed += follow(connection, case_id, gained, by, policy, now)
                outbox.note(connection, case_id, now)
            elif known:
                reopened += goes_on(connection, case_id, now)
        told = {"scan": scan_id, "name": row["name"], "digest": digest, "opened": opened, "cases": continued}
        audit.append(connection, now, by, "scan.loaded", f"scan {scan_id}", told)
        made = propose_within(connection, policy, by, now, grouped)
    proposed = sum(one["state"] != SHADOW for one in made)
    return Loaded(scan_id, tuple(opened), tuple(continued), joined, followed, reopened, proposed)


def _documents(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
    digest = hashlib.sha256()
    try:
        for name in FILES:
            digest.update((folder / name).read_bytes())
        overview = json.loads((folder / "overview.json").read_text("utf-8"))
        found = json.loads((folder / "campaigns.json").read_text("utf-8"))
    except OSError as error:
        raise StoreError(
            f"{folder} is no whole result of a scan: {Path(str(error.filename)).name} cannot be read"
        ) from error
    except ValueError as error:
        raise StoreError(
            f"{folder} holds a document that is cut off or no JSON; run the scan again"
        ) from error
    return overview, found, digest.hexdigest()


def _time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _write_tables(connection: Connection, folder: Path, scan_id: int) -> None:
    try:
        matched = Counter(pq.read_table(folder / "matches.parquet")["family_id"].to_pylist())
        for rows in _batches(folder / "accounts.parquet"):
            if connection.dialect.name == "postgresql":
                _refuse_what_postgresql_cannot_hold(rows, folder / "accounts.parquet")
            for row in rows:
                row.update(scan_id=scan_id, end_user_id=row["end_user_id"] or NOBODY)
            connection.execute(accounts.insert(), rows)
        kept = {column.name for column in families.columns}
        for rows in _batches(folder / "families.parquet"):
            told = [
                {name: value for name, value in row.items() if name in kept}
                | {"scan_id": scan_id, "matched": matched[row["family_id"]]}
                for row in rows
            ]
            connection.execute(families.insert(), told)
        write_templates(connection, folder, scan_id)
    except (pa.ArrowException, KeyError) as error:
        raise StoreError(
            f"{folder} holds a table that is damaged or of another version; run the scan again"
        ) from error


def _refuse_what_postgresql_cannot_hold(rows: Iterable[Mapping[str, Any]], file: Path) -> None:
    for row in rows:
        name = f"{row['account_id']}{row['end_user_id'] or ''}"
        zero = "\0" in name
        if zero or len(name.encode()) > LONGEST_NAME:
            what = "has a zero byte in it" if zero else f"is longer than {LONGEST_NAME:,} bytes"
            user = (row["end_user_id"] or "")[:40]
            raise StoreError(
                f"{file}: the name of account {row['account_id'][:40]!r} with its end user {user!r} {what}, which "
                "PostgreSQL cannot hold; name it otherwise in the log and scan again, or keep the store in a file"
            )


def _batches(path: Path) -> Iterator[list[dict[str, Any]]]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS):
            if batch.num_rows:
                yield batch.to_pylist()


def _principals(campaign: Mapping[str, Any]) -> set[Principal]:
    return {(row["account_id"], row["end_user_id"] or NOBODY) for row in campaign["principals"]}


def _continued(
    connection: Connection, found: Sequence[Mapping[str, Any]], scan_id: int
) -> Iterator[tuple[Mapping[str, Any], str | None]]:
    """For each campaign the case that it continues, or None.

    A shared family decides, since its name is a keyed hash of its text; without one, half of the smaller side's
    principals do. So accounts that replace banned ones come to the case of those, by the template that they send.
    """
    for campaign in found:
        score: Counter[str] = Counter()
        named = [family["family_id"] for family in campaign["families"]]
        for part in _parts(named):
            query = (
                sa.select(campaigns.c.case_id, sa.func.count(families.c.family_id.distinct()))
                .join_from(
                    families,
                    campaigns,
                    (families.c.scan_id == campaigns.c.scan_id)
                    & (families.c.campaign_id == campaigns.c.campaign_id),
                )
                .where(families.c.family_id.in_(part), families.c.scan_id != scan_id)
                .group_by(campaigns.c.case_id)
            )
            for case_id, count in connection.execute(query):
                score[case_id] += count
        yield (
            campaign,
            (_first(score) if score else _by_principals(connection, _principals(campaign), scan_id)),
        )


def _by_principals(connection: Connection, own: set[Principal], scan_id: int) -> str | None:
    shared: Counter[str] = Counter()
    for part in _parts(sorted({account for account, _ in own})):
        query = (
            sa.select(participants.c.case_id, participants.c.account_id, participants.c.end_user_id)
            .where(participants.c.account_id.in_(part), participants.c.scan_id != scan_id)
            .distinct()
        )
        shared.update(case for case, *principal in connection.execute(query) if tuple(principal) in own)
    if not shared:
        return None
    sizes = connection.execute(sa.select(cases.c.id, cases.c.principals).where(cases.c.id.in_(list(shared))))
    enough = {case for case, size in sizes if shared[case] >= CONTINUES * min(size, len(own))}
    return _first(Counter({case: count for case, count in shared.items() if case in enough}))


def _first(score: Counter[str]) -> str | None:
    return min(score, key=lambda case: (-score[case], case), default=None)


def _parts(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[start : start + AT_ONCE] for start in range(0, len(values), AT_ONCE))


def _write_case(
    connection: Connection,
    case_id: str,
    parts: Sequence[Mapping[str, Any]],
    scan_id: int,
    now: dt.datetime,
    *,
    known: bool,
) -> list[Principal]:
    """Write the case as this scan sees it; return the principals that no scan before had in it, and no decision."""
    chief = max(parts, key=lambda part: (part["scale"]["exchanges"], part["campaign_id"]))
    people = {key: row for part in parts for key, row in _participants(part, case_id, scan_id)}
    state = {
        "verdict": chief["verdict"],
        "probability": chief["probability"],
        "evidence_bits": chief["evidence_bits"],
        "exchanges": sum(part["scale"]["exchanges"] for part in parts),
        "principals": len(people),
        "first_seen": min(_time(part["first_seen"]) for part in parts),
        "last_seen": max(_time(part["last_seen"]) for part in parts),
        "scan_id": scan_id,
        "changed_at": now,
    }
    if not known:
        more = {"id": case_id, "state": "new", "version": 1, "opened_at": now}
        connection.execute(cases.insert(), {**state, **more})
    elif _newer(connection, case_id, scan_id):
        connection.execute(
            cases.update().where(cases.c.id == case_id).values(**state, version=cases.c.version + 1)
        )
    before = sa.select(participants.c.scan_id, participants.c.account_id, participants.c.end_user_id)
    held = connection.execute(before.where(participants.c.case_id == case_id))
    earlier = [(number, (account_id, end_user_id)) for number, account_id, end_user_id in held]
    for part in parts:
        dossier = {key: value for key, value in part.items() if key not in {"principals", "exemplars"}}
        row = {
            "scan_id": scan_id,
            "campaign_id": part["campaign_id"],
            "case_id": case_id,
            "verdict": part["verdict"],
            "probability": part["probability"],
            "exchanges": part["scale"]["exchanges"],
            "principals": len(part["principals"]),
            "dossier": dossier,
        }
        connection.execute(campaigns.insert(), row)
        if part.get("exemplars"):
            told = {"scan_id": scan_id, "campaign_id": part["campaign_id"], "turns": part["exemplars"]}
            connection.execute(exemplars.insert(), told)
    if people:
        connection.execute(participants.insert(), list(people.values()))
    in_common.note(connection, case_id, scan_id, set(people), earlier)
    decided = sa.select(targets.c.account_id, targets.c.end_user_id).join(decisions)
    judged = connection.execute(decided.where(decisions.c.case_id == case_id).distinct())
    return sorted(set(people) - {who for _, who in earlier} - {(account, user) for account, user in judged})


def _newer(connection: Connection, case_id: str, scan_id: int) -> bool:
    """Whether a scan's log ends no earlier than that of the scan by which the case is known."""
    held = sa.select(cases.c.scan_id).where(cases.c.id == case_id).scalar_subquery()
    query = sa.select(scans.c.id, scans.c.last_seen)
    within = query.where(sa.or_(scans.c.id == scan_id, scans.c.id == held))
    ends = {number: last for number, last in connection.execute(within)}
    return all(ends[scan_id] >= end for end in ends.values())


def _participants(
    part: Mapping[str, Any], case_id: str, scan_id: int
) -> Iterator[tuple[Principal, dict[str, Any]]]:
    for row in part["principals"]:
        key = row["account_id"], row["end_user_id"] or NOBODY
        yield (
            key,
            {
                "scan_id": scan_id,
                "case_id": case_id,
                "account_id": key[0],
                "end_user_id": key[1],
                "campaign_id": part["campaign_id"],
                "probability": row["probability"],
                "exchanges": row["exchanges"],
                "extraction_exchanges": row["extraction_exchanges"],
                "first_seen": _time(row["first_seen"]),
                "last_seen": _time(row["last_seen"]),
            },
        )

"""A store as large as one likes: a real scan is loaded twice, and the database itself multiplies what that wrote.

Joins are CROSS JOINs with their condition beside them: SQLite then keeps to the order in which they are written, and
does not go through all numbers for each case.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from stillwatch.arena import PRESETS, simulate
from stillwatch.keys import Keys
from stillwatch.response.actions import Action, Finding
from stillwatch.response.decision import Wanted
from stillwatch.response.policy import Policy
from stillwatch.scan import Options, scan
from stillwatch.sketching import Source
from stillwatch.store import audit
from stillwatch.store.appeals import invite
from stillwatch.store.database import Store
from stillwatch.store.decisions import decide
from stillwatch.store.loading import load
from stillwatch.store.tables import appeals, cases, proposals
from stillwatch.store.users import Role, add_user

LARGEST = 20_000
"""Principals of the largest campaign: as many as of the largest proxy network that was reported."""
FAMILIES = 3
"""Families of each campaign."""
DECISIONS, ENTRIES, USERS = 300, 20_000, 200
"""Decisions that were made, entries of the audit log besides, and people who may log in."""


def fill(store: Store, results: Sequence[Path], campaigns: int, accounts: int) -> None:
    """Two scans: the first with half of the campaigns and half of the accounts of the second."""
    for result in results:
        load(store, result, "benchmark", Policy(), dt.datetime.now(dt.UTC))
    sizes = _sizes(campaigns, accounts)
    with store.writing() as connection:
        connection.execute(sa.text("CREATE TABLE numbers (n INTEGER PRIMARY KEY)"))
        connection.execute(
            sa.text(
                "INSERT INTO numbers WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < :most) "
                "SELECT n FROM s"
            ),
            {"most": max(accounts, campaigns)},
        )
        _write_cases(connection, sizes)
        for scan_id, half in ((1, 2), (2, 1)):
            _write_scan(connection, scan_id, campaigns // half, accounts // half - sum(sizes) // half, half)
        _count_in_common(connection)
        connection.execute(sa.text("DROP TABLE numbers"))
    _write_history(store, campaigns)
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("ANALYZE"))


def _write_history(store: Store, campaigns: int) -> None:
    """What people and rules left: decisions from the largest case on, proposals, appeals, users, and the log of it."""
    now = dt.datetime.now(dt.UTC)
    # Those whom it hits are hit at once, and get a link each.
    policy = Policy(principals=10**9, innocent=1e9, spread=dt.timedelta(0))
    for number in range(min(DECISIONS, campaigns // 4)):
        wanted = Wanted(f"c-{number:06d}", Finding.EXTRACTION, Action.THROTTLE, "one template, one hand")
        made = decide(store, wanted, "benchmark", policy, now)
        if number == 0:
            invite(store, made, "benchmark", policy, dt.datetime.now(dt.UTC))
    with store.writing() as connection:
        half = appeals.c.id % 2 == 0
        objected = {
            "state": "received",
            "objection": "These are the nightly tests of our own product.",
            "objected_at": now,
        }
        connection.execute(appeals.update().where(half).values(objected))
        open_cases = sa.select(cases.c.id).where(cases.c.state == "new", cases.c.scan_id == 2)
        proposed = {
            "scan_id": 2, "rule": "throttle", "digest": "0" * 64, "state": "open", "finding": "extraction",
            "action": "throttle", "parameters": {"requests_per_minute": 6}, "lasts_s": 86400, "spread_s": 0,
            "follows": False, "principals": 8, "expected_innocent": 0.1, "made_at": now,
        }  # fmt: skip
        names = connection.execute(open_cases).scalars().all()
        connection.execute(proposals.insert(), [proposed | {"case_id": name} for name in names])
        for number in range(ENTRIES):
            audit.append(
                connection,
                now,
                "benchmark",
                "text.revealed",
                f"c-{number % campaigns:06d}",
                {"reason": "why"},
            )
    for number in range(USERS):
        add_user(store, f"user-{number}", Role.ANALYST, "benchmark", now, outside=True)


def two_results(folder: Path) -> list[Path]:
    """A real scan, and the same with a log that ends a week later."""
    simulate(PRESETS["tiny"], folder / "log")
    source = Source((folder / "log" / "exchanges.parquet",))
    scan(source, folder / "earlier", Keys(local=b"a key for this benchmark"), Options())
    shutil.copytree(folder / "earlier", folder / "later")
    overview = json.loads((folder / "later" / "overview.json").read_text())
    last = dt.datetime.fromisoformat(overview["log"]["last"]) + dt.timedelta(days=7)
    overview["log"]["last"] = last.isoformat()
    (folder / "later" / "overview.json").write_text(json.dumps(overview))
    return [folder / "earlier", folder / "later"]


def _sizes(campaigns: int, accounts: int) -> list[int]:
    """Principals of each campaign, of a heavy tail; together at most half of the accounts."""
    drawn = random.Random(1)
    sizes = [min(int(8 * drawn.paretovariate(1.3)), 2000) for _ in range(campaigns)]
    sizes[0] = min(LARGEST, accounts // 20)
    while sum(sizes) > accounts // 2:
        sizes = [max(2, size * 4 // 5) for size in sizes]
    return sizes


def _write_cases(connection: Connection, sizes: list[int]) -> None:
    drawn = random.Random(2)
    rows = [
        {
            "id": f"c-{number:06d}",
            "probability": round(drawn.uniform(0.5, 0.99999), 5),
            "exchanges": 12 * size,
            "principals": size,
        }
        for number, size in enumerate(sizes)
    ]
    same = "verdict, evidence_bits, first_seen, last_seen, opened_at, changed_at"
    connection.execute(
        sa.text(
            f"INSERT INTO cases (id, scan_id, state, version, probability, exchanges, principals, {same}) "
            f"SELECT :id, 2, 'new', 1, CAST(:probability AS FLOAT), :exchanges, :principals, {same} FROM cases "
            "WHERE version = 2"  # the one that both scans found
        ),
        rows,
    )


def _write_scan(connection: Connection, scan_id: int, campaigns: int, honest: int, half: int) -> None:
    """The campaigns of a scan, their families and principals, and its accounts."""
    chosen = {"scan": scan_id, "campaigns": campaigns, "half": half, "honest": honest}
    name = _padded(connection, "numbers.n", 6)
    here = f"FROM numbers CROSS JOIN cases WHERE cases.id = 'c-' || {name} AND numbers.n < :campaigns"
    member = f"'acct-' || substr(cases.id, 3) || '-' || {_padded(connection, 'numbers.n', 5)}"
    people = (
        "FROM cases CROSS JOIN numbers WHERE numbers.n < cases.principals / :half AND cases.version = 1 "
        f"AND cases.id < 'c-' || {_padded(connection, ':campaigns', 6)}"
    )
    seen = "first_seen, last_seen"
    reasons, none = _json(connection, '["12 of its 40 exchanges"]'), _json(connection, "[]")
    for statement in (
        "INSERT INTO campaigns (scan_id, campaign_id, case_id, verdict, probability, exchanges, principals, dossier) "
        "SELECT :scan, cases.id, cases.id, cases.verdict, cases.probability, cases.exchanges, cases.principals, "
        f"{_named(connection)} {here}",
        "INSERT INTO families (scan_id, family_id, campaign_id, verdict, role, exchanges, principals, matched, "
        "evidence_bits) SELECT :scan, 'f-' || substr(cases.id, 3) || '-' || part.n, cases.id, cases.verdict, 'new', "
        f"cases.exchanges, cases.principals, cases.exchanges, 12.0 {here.replace('WHERE', 'CROSS JOIN numbers part WHERE')} "
        f"AND part.n < {FAMILIES}",
        f"INSERT INTO exemplars (scan_id, campaign_id, turns) SELECT :scan, cases.id, {_example()} {here}",
        "INSERT INTO participants (scan_id, case_id, account_id, end_user_id, campaign_id, probability, exchanges, "
        f"extraction_exchanges, {seen}) SELECT :scan, cases.id, {member}, '', cases.id, cases.probability, 40, 12, "
        f"{seen} {people}",
        "INSERT INTO accounts (scan_id, account_id, end_user_id, verdict, campaign_id, probability, evidence_bits, "
        f"exchanges, extraction_exchanges, {seen}, reasons) SELECT :scan, {member}, '', cases.verdict, cases.id, "
        f"cases.probability, 12.0, 40, 12, {seen}, {reasons} {people}",
        "INSERT INTO accounts (scan_id, account_id, end_user_id, verdict, probability, evidence_bits, exchanges, "
        f"extraction_exchanges, {seen}, reasons) SELECT :scan, 'honest-' || {_padded(connection, 'numbers.n', 7)}, '', "
        f"'none', 0.0, 0.0, 40, 0, {seen}, {none} FROM numbers CROSS JOIN "
        f"(SELECT {seen} FROM cases LIMIT 1) one WHERE numbers.n < :honest",
    ):
        used = {key: value for key, value in chosen.items() if f":{key}" in statement}
        connection.execute(sa.text(statement), used)


def _count_in_common(connection: Connection) -> None:
    """What loading would have counted: of a case's principals in the earlier scan all are in the later."""
    size = "SELECT case_id, scan_id, count(*) AS many FROM participants GROUP BY case_id, scan_id"
    connection.execute(
        sa.text(
            "INSERT INTO in_common (case_id, scan_id, other_id, principals) "
            f"SELECT later.case_id, later.scan_id, earlier.scan_id, earlier.many FROM ({size}) later "
            f"JOIN ({size}) earlier ON earlier.case_id = later.case_id AND earlier.scan_id <= later.scan_id "
            "JOIN cases ON cases.id = later.case_id WHERE cases.version = 1"
        )
    )


def _named(connection: Connection) -> str:
    """The dossier of the real campaign, under the name of another."""
    real = (
        "(SELECT dossier FROM campaigns JOIN cases known ON known.id = campaigns.case_id AND known.version = 2 "
        "WHERE campaigns.scan_id = :scan LIMIT 1)"
    )
    if connection.dialect.name == "postgresql":
        return f"CAST(jsonb_set(CAST({real} AS JSONB), '{{campaign_id}}', to_jsonb(cases.id)) AS JSON)"
    return f"json_set({real}, '$.campaign_id', cases.id)"


def _example() -> str:
    """The examples of the real campaign."""
    return (
        "(SELECT turns FROM exemplars JOIN campaigns known USING (scan_id, campaign_id) JOIN cases real ON "
        "real.id = known.case_id AND real.version = 2 WHERE known.scan_id = :scan LIMIT 1)"
    )


def _json(connection: Connection, text: str) -> str:
    return f"CAST('{text}' AS JSON)" if connection.dialect.name == "postgresql" else f"'{text}'"


def _padded(connection: Connection, number: str, digits: int) -> str:
    """A number with zeros before it, in the words of the database."""
    if connection.dialect.name == "postgresql":
        return f"lpad(CAST({number} AS TEXT), {digits}, '0')"
    return f"substr('{'0' * digits}' || {number}, -{digits})"

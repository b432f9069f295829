"""Many analysts at once, each a client of its own over HTTP, and what came of it in the store."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import sqlalchemy as sa

from stillwatch.response.actions import Action, Finding
from stillwatch.response.decision import Wanted
from stillwatch.response.policy import Policy
from stillwatch.store import audit
from stillwatch.store.database import Store
from stillwatch.store.decisions import decide
from stillwatch.store.sessions import open_session
from stillwatch.store.tables import decisions
from stillwatch.store.users import Role
from tests.review.serving import NOW, Visitor, add_person

WAIT_S = 600


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the clients were told, and what the store holds."""

    told: Counter[str]
    """Decisions that a client was told were made, by case."""
    approved: Counter[int]
    """Approvals that a client was told of, by decision."""
    refused: int
    """Answers that somebody else was quicker."""
    other: Counter[int]
    """Answers of any other status."""
    lost: int
    """What a client was told of and the store does not hold under that name."""
    doubled: int
    """Cases with more than one decision."""
    broken: str
    """What is wrong with the audit log; empty where all is well."""


@dataclass(frozen=True, slots=True)
class _Answer:
    by: str
    case: str
    """Empty for an approval."""
    decision: int
    status: int


def crowd(
    store: Store,
    address: str,
    analysts: int,
    contested: Sequence[str],
    own: Sequence[str],
    proposed: Sequence[str] = (),
) -> Outcome:
    """All approve every proposal at the same moment, then decide on every contested case, then each on a share alone."""
    names = [f"analyst-{number}" for number in range(analysts)]
    for name in names:
        add_person(store, name, Role.APPROVER)
    waiting = [_propose(store, case) for case in proposed]
    people = [Visitor(address, token=open_session(store, name, NOW)) for name in names]
    for person in people:
        person.client.timeout = WAIT_S  # nobody is lost because the machine is busy
    start = threading.Barrier(analysts)

    def work(number: int) -> list[_Answer]:
        person, name, done = people[number], names[number], []
        try:
            for decision in waiting:
                start.wait(WAIT_S)
                status = person.post(f"/decisions/{decision}/approve.json").status_code
                done.append(_Answer(name, "", decision, status))
            for case in contested:
                start.wait(WAIT_S)
                done.append(_decide(person, name, case))
            done += [_decide(person, name, case) for case in own[number::analysts]]
        except Exception:
            start.abort()  # the others would wait for it
            raise
        return done

    with ThreadPoolExecutor(analysts) as pool:
        answers = [one for done in pool.map(work, range(analysts)) for one in done]
    return _outcome(store, answers, {*contested, *own, *proposed})


def _propose(store: Store, case: str) -> int:
    """A decision that waits for a second person."""
    wanted = Wanted(case, Finding.EXTRACTION, Action.THROTTLE, "one hand")
    return decide(store, wanted, "root", Policy(principals=1), NOW)


def _decide(person: Visitor, name: str, case: str) -> _Answer:
    seen = person.get(f"/cases/{case}/preview.json", action="throttle").json()["version"]
    answer = person.post(f"/cases/{case}/decide.json", version=seen, reason="one hand", action="throttle")
    return _Answer(name, case, answer.json().get("decision", 0), answer.status_code)


def _outcome(store: Store, answers: Sequence[_Answer], cases: set[str]) -> Outcome:
    with store.reading() as connection:
        columns = (decisions.c[name] for name in ("id", "case_id", "asked_by", "approved_by"))
        kept = {row.id: row for row in connection.execute(sa.select(*columns))}
    made = [one for one in answers if one.status == 200]
    statuses = Counter(one.status for one in answers)
    refused = statuses.pop(409, 0)
    statuses.pop(200, None)
    per_case = Counter(row.case_id for row in kept.values() if row.case_id in cases)
    return Outcome(
        Counter(one.case for one in made if one.case),
        Counter(one.decision for one in made if not one.case),
        refused,
        statuses,
        sum(not _holds(one, kept.get(one.decision)) for one in made),
        sum(count > 1 for count in per_case.values()),
        audit.verify(store).broken,
    )


def _holds(told: _Answer, row: sa.Row[tuple[int, str, str, str | None]] | None) -> bool:
    """Whether the store holds what a client was told."""
    if row is None:
        return False
    if told.case:
        return (row.asked_by, row.case_id) == (told.by, told.case)
    return bool(row.approved_by == told.by)

"""Many analysts at once, each a client of its own over HTTP, and what came of it in the store."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import sqlalchemy as sa

from stillwatch.store import audit
from stillwatch.store.database import Store
from stillwatch.store.sessions import open_session
from stillwatch.store.tables import decisions
from stillwatch.store.users import Role
from tests.review.serving import NOW, Visitor, add_person


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the clients were told, and what the store holds."""

    told: Counter[str]
    """Decisions that a client was told were made, by case."""
    refused: int
    """Answers that somebody else was quicker."""
    other: Counter[int]
    """Answers of any other status."""
    lost: int
    """Decisions that a client was told of and that the store does not hold under that name."""
    doubled: int
    """Cases with more than one decision."""
    broken: str
    """What is wrong with the audit log; empty where all is well."""


def crowd(store: Store, address: str, analysts: int, contested: Sequence[str], own: Sequence[str]) -> Outcome:
    """Every analyst decides on every contested case, all at the same moment, and on a share of the others alone."""
    for number in range(analysts):
        add_person(store, f"analyst-{number}", Role.ANALYST)
    tokens = [open_session(store, f"analyst-{number}", NOW) for number in range(analysts)]
    people = [Visitor(address, token=token) for token in tokens]
    start = threading.Barrier(analysts)

    def work(number: int) -> list[tuple[str, int, int]]:
        try:
            return decide(number)
        except Exception:
            start.abort()  # the others would wait for it
            raise

    def decide(number: int) -> list[tuple[str, int, int]]:
        mine, done = own[number::analysts], []
        for name in (*contested, *mine):
            if name in contested:
                start.wait(timeout=300)
            asked = {"action": "throttle"}
            seen = people[number].get(f"/cases/{name}/preview.json", **asked).json()["version"]
            answer = people[number].post(
                f"/cases/{name}/decide.json", version=seen, reason="one hand", **asked
            )
            done.append((name, answer.status_code, answer.json().get("decision", 0)))
        return done

    with ThreadPoolExecutor(analysts) as pool:
        answers = [
            (number, *one) for number, done in enumerate(pool.map(work, range(analysts))) for one in done
        ]
    with store.reading() as connection:
        query = sa.select(decisions.c.id, decisions.c.asked_by, decisions.c.case_id)
        kept = {number: (by, case) for number, by, case in connection.execute(query)}
    made = [
        (f"analyst-{number}", name, decision) for number, name, status, decision in answers if status == 200
    ]
    within = {*contested, *own}
    per_case = Counter(case for _, case in kept.values() if case in within)
    statuses = Counter(status for _, _, status, _ in answers)
    refused = statuses.pop(409, 0)
    statuses.pop(200, None)
    return Outcome(
        Counter(name for _, name, _ in made),
        refused,
        statuses,
        sum(kept.get(decision) != (by, name) for by, name, decision in made),
        sum(count > 1 for count in per_case.values()),
        audit.verify(store).broken,
    )

"""What ``benchmarks/review`` does: fill a store, ask for every page, and let a crowd decide."""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from tests.review.crowd import crowd
from tests.review.database_server import MissingServerError, postgres_server
from tests.review.serving import Visitor, add_person

from provenance import commit, machine
from review_filling import fill
from stillwatch.response.actions import Action, Finding
from stillwatch.response.decision import Wanted
from stillwatch.response.policy import Policy
from stillwatch.store.database import Store, open_store
from stillwatch.store.decisions import decide
from stillwatch.store.sessions import open_session
from stillwatch.store.users import Role

DATABASES = ("sqlite", "postgresql")
DECISIONS = 300
LIMIT_MS = 300
"""Within which 95 of 100 answers must come."""
ANALYSTS, CONTESTED, OWN = 50, 5, 50
COLUMNS = (
    "date", "commit", "machine", "load", "database", "campaigns", "accounts", "page", "asked", "p50_ms", "p95_ms",
    "most_ms", "server_cpu_ms",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sized:
    """How large the store is, and how often each page is asked for."""

    campaigns: int
    accounts: int
    asked: int


def main(root: Path) -> int:
    """Measure and write the table; 1 where a page was too slow or a decision lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--campaigns", type=int, default=10_000)
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--asked", type=int, default=60, help="requests of each page")
    parser.add_argument("--only", choices=DATABASES)
    parser.add_argument("--out", type=Path, default=root / "benchmarks" / "results" / "review.csv")
    chosen = parser.parse_args()
    sized = Sized(chosen.campaigns, chosen.accounts, chosen.asked)
    rows: list[dict[str, object]] = []
    failed = False
    with tempfile.TemporaryDirectory(prefix="stillwatch-review-") as name:
        folder = Path(name)
        for database in (chosen.only,) if chosen.only else DATABASES:
            try:
                with _place(database, folder) as place:
                    found, bad = _measure(place, database, folder / database, sized)
            except MissingServerError as error:
                print(f"{database} is left out: {error}")
                continue
            rows += found
            failed |= bad
    told = {"date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}", "commit": commit(root), "machine": machine()}
    with chosen.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(told | row for row in rows)
    print(f"written to {chosen.out}")
    return int(failed)


@contextmanager
def _place(database: str, folder: Path) -> Iterator[str]:
    if database == "sqlite":
        yield str(folder / "review.db")
        return
    with postgres_server(syncs=True) as url:
        yield url


def _measure(place: str, database: str, folder: Path, sized: Sized) -> tuple[list[dict[str, object]], bool]:
    with closing(open_store(place)) as store:
        began = time.perf_counter()
        fill(store, folder, sized.campaigns, sized.accounts)
        print(f"{database}: filled in {time.perf_counter() - began:.0f} s", flush=True)
        _decide(store, sized)
        add_person(store, "reader", Role.ADMIN)
        token = open_session(store, "reader", dt.datetime.now(dt.UTC))
        with _serving(place) as (address, process):
            reader = Visitor(address, token=token)
            rows = [
                {"database": database, "campaigns": sized.campaigns, "accounts": sized.accounts}
                | _time(reader, name, paths, process)
                for name, paths in _pages(sized).items()
            ]
            slow = [row["page"] for row in rows if float(str(row["p95_ms"])) > LIMIT_MS]
            print(f"{database}: over {LIMIT_MS} ms at p95: {', '.join(map(str, slow)) or 'none'}")
            names = [
                f"c-{number:06d}" for number in range(sized.campaigns - CONTESTED - OWN, sized.campaigns)
            ]
            began = time.perf_counter()
            came = crowd(store, address, ANALYSTS, names[:CONTESTED], names[CONTESTED:])
            seconds = time.perf_counter() - began
    good = not (came.lost or came.doubled or came.broken or came.other) and set(came.told) == set(names)
    print(
        f"{database}: {ANALYSTS} analysts at once on {len(names)} cases: {came.told.total()} decisions told, "
        f"{came.refused} refused as later, {came.other.total()} other answers, {came.lost} lost, {came.doubled} doubled, "
        f"audit log {came.broken or 'whole'}; {seconds:.0f} s",
        flush=True,
    )
    return rows, bool(slow) or not good


def _decide(store: Store, sized: Sized) -> None:
    """A history: decisions on cases from the largest on."""
    for number in range(min(DECISIONS, sized.campaigns // 4)):
        wanted = Wanted(f"c-{number:06d}", Finding.EXTRACTION, Action.THROTTLE, "one template, one hand")
        decide(store, wanted, "benchmark", Policy(), dt.datetime.now(dt.UTC))


@contextmanager
def _serving(place: str) -> Iterator[tuple[str, int]]:
    """The server as people start it, in a process of its own: its address and process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "from stillwatch.cli import main; main()"
    run = [sys.executable, "-c", code, "serve", "--store", place, "--port", str(port), "--no-demo"]
    with subprocess.Popen(run, stdout=subprocess.DEVNULL, env=os.environ) as process:
        address = f"http://127.0.0.1:{port}"
        try:
            for _ in range(600):
                try:
                    httpx.get(f"{address}/health", timeout=1)
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield address, process.pid
        finally:
            process.terminate()


def _pages(sized: Sized) -> dict[str, list[str]]:
    """For each page the addresses that are asked for, drawn over the whole store."""
    drawn = random.Random(7)

    def some(make: Callable[[], str]) -> list[str]:
        return [make() for _ in range(sized.asked)]

    def case() -> str:
        return f"c-{drawn.randrange(sized.campaigns):06d}"

    def words() -> str:
        return f"{drawn.choice(('c-0', 'f-001', 'acct-0', 'honest-00'))}{drawn.randrange(10)}"

    def account() -> str:
        return f"honest-{drawn.randrange(sized.accounts // 4):07d}"

    compare = "/scans/compare?first=1&second=2&change="
    return {
        "queue": some(lambda: f"/cases?order={drawn.choice(('certainty', 'size', 'age'))}"),
        "queue, deep": some(lambda: f"/cases?state=new&start={drawn.randrange(sized.campaigns // 2)}"),
        "queue, mine": some(lambda: "/cases?mine=true"),
        "case": some(lambda: f"/cases/{case()}"),
        "case, largest": some(lambda: "/cases/c-000000"),
        "case as JSON": some(lambda: f"/cases/{case()}.json"),
        "preview": some(lambda: f"/cases/{case()}/preview?action=suspend"),
        "preview, largest": some(lambda: "/cases/c-000000/preview?action=suspend"),
        "account": some(lambda: f"/account?id={account()}"),
        "account in a case": some(lambda: f"/account?id=acct-{drawn.randrange(sized.campaigns):06d}-00001"),
        "search": some(lambda: f"/search?words={words()}"),
        "decisions": some(lambda: "/decisions?state=proposed"),
        "decision": some(lambda: f"/decisions/{drawn.randrange(1, 9)}"),
        "scans": some(lambda: "/scans"),
        "compare, new": some(lambda: f"{compare}new"),
        "compare, kept": some(lambda: f"{compare}kept&start={50 * drawn.randrange(10)}"),
        "audit log": some(lambda: "/audit"),
        "audit log, of one kind": some(lambda: "/audit?kind=scan.loaded"),
        "users": some(lambda: "/users"),
    }  # fmt: skip


def _time(reader: Visitor, name: str, paths: Sequence[str], process: int) -> dict[str, object]:
    taken = []
    reader.get(paths[0])
    before = _cpu_ms(process)
    for path in paths:
        began = time.perf_counter()
        answer = reader.get(path)
        taken.append((time.perf_counter() - began) * 1000)
        if answer.status_code != 200:
            raise RuntimeError(f"{path} was answered with {answer.status_code}: {answer.text[-300:]}")
    cpu = (_cpu_ms(process) - before) / len(paths)
    ordered = sorted(taken)
    p50, p95 = ordered[len(ordered) // 2], ordered[min(int(0.95 * len(ordered)), len(ordered) - 1)]
    load = os.getloadavg()[0]
    print(
        f"  {name:24} p50 {p50:6.0f} ms  p95 {p95:6.0f} ms  server {cpu:5.0f} ms  load {load:.0f}", flush=True
    )
    return {
        "page": name, "asked": len(paths), "p50_ms": f"{p50:.1f}", "p95_ms": f"{p95:.1f}", "most_ms": f"{ordered[-1]:.1f}",
        "server_cpu_ms": f"{cpu:.1f}", "load": f"{load:.1f}",
    }  # fmt: skip


def _cpu_ms(process: int) -> float:
    """Processor time of the server so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")

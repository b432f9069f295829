"""What ``benchmarks/review`` does: fill a store, ask for every page, and let a crowd decide."""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from tests.review.crowd import crowd
from tests.review.database_server import MissingServerError, postgres_server
from tests.review.serving import Visitor, add_person

from provenance import commit, machine
from review_filling import fill, two_results
from review_pages import as_json, pages
from stillwatch.response.policy import Policy
from stillwatch.store.appeals import invite
from stillwatch.store.database import Store, open_store
from stillwatch.store.sessions import open_session
from stillwatch.store.users import Role

DATABASES = ("sqlite", "postgresql")
LIMIT_MS = 300
"""Within which 95 of 100 answers must come."""
CLIENTS = (1, 4)
"""How many ask at once."""
ANALYSTS, CONTESTED, PROPOSED = 50, 20, 20
COLUMNS = (
    "date", "commit", "machine", "load", "database", "campaigns", "accounts", "page", "form", "clients", "asked",
    "p50_ms", "p95_ms", "p99_ms", "bytes", "server_cpu_ms",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sized:
    """How large the store is, how often each page is asked for, and how many decisions a crowd makes."""

    campaigns: int
    accounts: int
    asked: int
    decisions: int


def main(root: Path) -> int:
    """Measure and write the table; 1 where a page was too slow or a decision lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--campaigns", type=int, default=10_000)
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--asked", type=int, default=100, help="requests of each page, in each form")
    parser.add_argument("--decisions", type=int, default=3000, help="cases on which the crowd decides")
    parser.add_argument("--only", choices=DATABASES)
    parser.add_argument(
        "--filled", nargs="+", metavar="FILE|URL", help="stores that --fill-only filled before"
    )
    parser.add_argument("--fill-only", metavar="FILE|URL", help="fill this store, and measure nothing")
    parser.add_argument("--out", type=Path, default=root / "benchmarks" / "results" / "review.csv")
    chosen = parser.parse_args()
    sized = Sized(
        chosen.campaigns, chosen.accounts, chosen.asked, min(chosen.decisions, chosen.campaigns // 3)
    )
    if chosen.fill_only:
        with tempfile.TemporaryDirectory(prefix="stillwatch-review-") as name:
            _fill(chosen.fill_only, two_results(Path(name)), sized)
        return 0
    rows: list[dict[str, object]] = []
    failed = False
    for place in _filled(chosen.filled, chosen.only, sized):
        found, bad = _measure(place, "postgresql" if "://" in place else "sqlite", sized)
        rows += found
        failed |= bad
    told = {"date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}", "commit": commit(root), "machine": machine()}
    with chosen.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(told | row for row in rows)
    print(f"written to {chosen.out}")
    return int(failed)


def _filled(given: Sequence[str] | None, only: str | None, sized: Sized) -> Iterator[str]:
    """Places of filled stores: those that are given, or one of each database that is filled now."""
    if given:
        yield from given
        return
    with tempfile.TemporaryDirectory(prefix="stillwatch-review-") as name:
        results = two_results(Path(name))
        if only != "postgresql":
            yield _fill(str(Path(name) / "review.db"), results, sized)
        if only != "sqlite":
            try:
                with postgres_server(syncs=True) as url:
                    yield _fill(url, results, sized)
            except MissingServerError as error:
                print(f"postgresql is left out: {error}")


def _fill(place: str, results: Sequence[Path], sized: Sized) -> str:
    began = time.perf_counter()
    with closing(open_store(place)) as store:
        fill(store, results, sized.campaigns, sized.accounts)
    print(f"filled in {time.perf_counter() - began:.0f} s", flush=True)
    return place


def _measure(place: str, database: str, sized: Sized) -> tuple[list[dict[str, object]], bool]:
    with closing(open_store(place)) as store:
        reader = f"reader-{time.time_ns()}"
        add_person(store, reader, Role.ADMIN)
        token = open_session(store, reader, dt.datetime.now(dt.UTC))
        with _serving(place) as (address, process):
            rows = list(_times(store, address, token, process, sized))
            for row in rows:
                row |= {"database": database, "campaigns": sized.campaigns, "accounts": sized.accounts}
            slow = [
                f"{row['page']} ({row['form']}, {row['clients']} at once)"
                for row in rows
                if float(str(row["p95_ms"])) > LIMIT_MS
            ]
            print(f"{database}: over {LIMIT_MS} ms at p95: {', '.join(slow) or 'none'}", flush=True)
            good = _crowd(store, address, database, sized)
    return rows, bool(slow) or not good


def _crowd(store: Store, address: str, database: str, sized: Sized) -> bool:
    """Fifty analysts at once, on the smallest numbers of cases that nobody decided on."""
    last = sized.campaigns - 1
    names = [f"c-{number:06d}" for number in range(last, last - sized.decisions, -1)]
    proposed, contested, own = names[:PROPOSED], names[PROPOSED:][:CONTESTED], names[PROPOSED + CONTESTED :]
    began = time.perf_counter()
    if not names:
        return True
    came = crowd(store, address, ANALYSTS, contested, own, proposed)
    print(
        f"{database}: {ANALYSTS} analysts at once on {len(names):,} cases: {came.told.total():,} decisions and "
        f"{came.approved.total():,} approvals told, {came.refused:,} refused as later, {came.other.total()} other answers, "
        f"{came.lost} lost, {came.doubled} doubled, audit log {came.broken or 'whole'}; "
        f"{time.perf_counter() - began:.0f} s",
        flush=True,
    )
    once = all(count == 1 for count in (*came.told.values(), *came.approved.values()))
    whole = set(came.told) == {*contested, *own} and len(came.approved) == len(proposed)
    return once and whole and not (came.lost or came.doubled or came.broken or came.other)


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


def _times(store: Store, address: str, token: str, process: int, sized: Sized) -> Iterator[dict[str, object]]:
    """Each page, as a page and as JSON, asked for by one client and by several at once."""
    # The link that one of the accused was given for the first decision.
    links, _ = invite(store, 1, "reader", Policy(), dt.datetime.now(dt.UTC), "acct-000000-00007")
    readers = [Visitor(address, token=token) for _ in range(max(CLIENTS))]
    for name, page in pages(
        sized.campaigns, sized.accounts, sized.asked, f"/appeal/{links[0].token}"
    ).items():
        for form in ("page", "json") if page.has_json else ("page",):
            paths = [as_json(one) if form == "json" else one for one in page.addresses]
            for clients in CLIENTS:
                told = _time(readers[:clients], paths, process)
                print(
                    f"  {name:24} {form:4} {clients} at once  p50 {told['p50_ms']:>6} p95 {told['p95_ms']:>6} "
                    f"p99 {told['p99_ms']:>6} ms  server {told['server_cpu_ms']:>5} ms  load {told['load']}",
                    flush=True,
                )
                yield {"page": name, "form": form, "clients": clients, **told}


def _time(readers: Sequence[Visitor], paths: Sequence[str], process: int) -> dict[str, object]:
    readers[0].get(paths[0])
    before = _cpu_ms(process)
    with ThreadPoolExecutor(len(readers)) as pool:
        shares = [paths[place :: len(readers)] for place in range(len(readers))]
        answers = [one for some in pool.map(_ask, readers, shares) for one in some]
    cpu = (_cpu_ms(process) - before) / len(paths)
    cuts = statistics.quantiles([taken for taken, _ in answers], n=100, method="inclusive")
    return {
        "asked": len(answers), "p50_ms": f"{cuts[49]:.1f}", "p95_ms": f"{cuts[94]:.1f}", "p99_ms": f"{cuts[98]:.1f}",
        "bytes": max(size for _, size in answers), "server_cpu_ms": f"{cpu:.1f}", "load": f"{os.getloadavg()[0]:.1f}",
    }  # fmt: skip


def _ask(reader: Visitor, paths: Sequence[str]) -> list[tuple[float, int]]:
    """Milliseconds and bytes of each answer."""
    found = []
    for path in paths:
        began = time.perf_counter()
        answer = reader.get(path)
        found.append(((time.perf_counter() - began) * 1000, len(answer.content)))
        if answer.status_code != 200:
            raise RuntimeError(f"{path} was answered with {answer.status_code}: {answer.text[-300:]}")
    return found


def _cpu_ms(process: int) -> float:
    """Processor time of the server so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")

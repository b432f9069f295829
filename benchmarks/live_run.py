"""The live service over loopback with wrk, side by side with the same server answering a constant."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.conftest import exchange
from tests.gateway.watching import FAMILY, TEMPLATE, Watch, chat, free_port, watch

from live_step import steps
from provenance import commit, machine
from read_large import log
from stillwatch.response.actions import Action, Scope

BODIES = (100, 1000)
"""Exchanges of one body of ingest."""
FLAT_OUT = 20
"""Connections that ask again at once."""
PACED, RATE = 64, 2000
"""Connections that pause, and requests a second of all of them together."""
SENDERS = 4
BEFORE_OTHERS = ("chrt", "--rr")
"""With ``--raised``: real-time, so that what else the machine does must wait. Needs root."""
CONSTANT = """
import uvicorn
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"LENGTH")]

async def constant(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b'ANSWER'})

uvicorn.run(constant, host="127.0.0.1", port=PORT, log_config=None, access_log=False, server_header=False,
            proxy_headers=False, lifespan="off")
"""
ANSWER = (
    '{"allow":true,"status":200,"code":"","message":"","retry_after_s":null,"trace":null,"logprobs":null,'
    '"wants_request":false,"actions":[]}'
)
LUA = """
local body = [==[BODY]==]
wrk.method = "POST"
wrk.headers["authorization"] = "Bearer TOKEN"
wrk.headers["content-type"] = "application/json"
local count = 0
function request()
  count = count + 1
  return wrk.format(nil, nil, nil, (body:gsub("NUMBER", tostring(count % 100000))))
end
"""
DELAY = """
function delay()
  return math.floor(-math.log(1 - math.random()) * MEAN + 0.5)
end
"""


class Load:
    """wrk on the second core, against one address."""

    def __init__(self, folder: Path, seconds: int, raised: bool) -> None:
        self._folder, self._seconds = folder, seconds
        self._first = [*BEFORE_OTHERS, "1"] if raised else []

    def run(
        self, server: int, url: str, body: str, token: str, connections: int, rate: int = 0
    ) -> dict[str, float]:
        """Requests a second, latencies in ms, answers that were no 2xx, and the server's processor time a request in us.

        ``rate``: requests a second to pause for; 0 for as many as there can be.
        """
        script = self._folder / "post.lua"
        # Pauses and answers take turns, so a pause is shorter by what an answer takes at least.
        delay = DELAY.replace("MEAN", f"{connections / rate * 1000 - 0.7:.3f}") if rate else ""
        script.write_text(LUA.replace("BODY", body).replace("TOKEN", token) + delay)
        command = [
            *self._first, "taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{self._seconds}s", "--latency",
            "-s", str(script), url,
        ]  # fmt: skip
        before = processor_s(server)
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        used = processor_s(server) - before
        found = {
            "rate": float(_found(r"Requests/sec:\s+([\d.]+)", said)[0]),
            "server_us": used / int(_found(r"(\d+) requests in", said)[0]) * 1e6,
        }
        for share in ("50", "99"):
            number, unit = _found(rf"{share}%\s+([\d.]+)(us|ms|s)", said)
            found[f"p{share}_ms"] = float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]
        other = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
        found["refused"] = float(other[1]) if other else 0.0
        return found


def _found(pattern: str, text: str) -> Sequence[str]:
    found = re.search(pattern, text)
    assert found is not None, text
    return found.groups()


def processor_s(process: int) -> float:
    """Seconds of the processor that a process has taken, its children aside."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pin(process: int, raised: bool) -> None:
    """Keep a process, with all its threads, on the first core."""
    subprocess.run(["taskset", "-a", "-c", "-p", "0", str(process)], check=True, stdout=subprocess.DEVNULL)
    if raised:
        subprocess.run([*BEFORE_OTHERS, "--all-tasks", "--pid", "1", str(process)], check=True)


@contextmanager
def constant(folder: Path, raised: bool) -> Iterator[tuple[int, str]]:
    """The same server with an answer that never changes; yields its process and address."""
    port = free_port()
    program = (
        CONSTANT.replace("PORT", str(port)).replace("ANSWER", ANSWER).replace("LENGTH", str(len(ANSWER)))
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=folder)
    try:
        time.sleep(4)
        pin(process.pid, raised)
        yield process.pid, f"http://127.0.0.1:{port}/v1/decision"
    finally:
        process.terminate()
        process.wait(timeout=20)


def lines(rows: int) -> str:
    """A body of ingest, some 450 bytes an exchange."""
    told = [
        exchange(n, f"acct-{n}", f"a question about thing {n}, with some words to it " * 6)
        for n in range(rows)
    ]
    return "\n".join(json.dumps({**row, "started_at": row["started_at"].isoformat()}) for row in told)


def over_http(chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """Every measure in turn, so many rounds; their medians."""
    with tempfile.TemporaryDirectory(prefix="stillwatch-live-") as name:
        folder = Path(name)
        more = ("--state", str(folder / "state"), "--step", "1d", "--most-per-second", "1000000")
        with watch(folder, *more) as service, constant(folder, chosen.raised) as same:
            assert service.process is not None
            service.decide(Action.SUSPEND, scope=Scope.FAMILY, family_id=FAMILY)
            pin(service.process.pid, chosen.raised)
            load = Load(folder, chosen.seconds, chosen.raised)
            measures = _measures(load, service, *same)
            found: dict[str, list[dict[str, float]]] = {one: [] for one in measures}
            for _ in range(chosen.rounds):
                for one, measure in measures.items():
                    found[one].append(measure())
    return [
        {"what": one, **{key: statistics.median(each[key] for each in all_) for key in all_[0]}}
        for one, all_ in found.items()
    ]


def _measures(
    load: Load, service: Watch, same: int, constant_url: str
) -> dict[str, Callable[[], dict[str, float]]]:
    assert service.process is not None
    watched, token = service.process.pid, service.token
    ask = '{"account_id": "acct-NUMBER", "model": "large"}'
    decision = f"{service.url}/v1/decision"
    request = json.dumps(chat("barley by month, in three ports " * 20, TEMPLATE))
    matched = f'{{"account_id": "acct-1", "model": "large", "request": {request}}}'

    def run(
        process: int, url: str, body: str, connections: int, rate: int = 0, rows: int = 1
    ) -> dict[str, float]:
        found = load.run(process, url, body, token, connections, rate)
        return found | {"exchanges_a_s": found["rate"] * rows if rows > 1 else 0.0}

    def ingest(rows: int, body: str) -> dict[str, float]:
        return run(watched, f"{service.url}/v1/ingest?format=native-jsonl", body, SENDERS, 0, rows)

    return {
        "constant, flat out": lambda: run(same, constant_url, ask, FLAT_OUT),
        "decisions, flat out": lambda: run(watched, decision, ask, FLAT_OUT),
        f"constant, {RATE:,} a second": lambda: run(same, constant_url, ask, PACED, RATE),
        f"decisions, {RATE:,} a second": lambda: run(watched, decision, ask, PACED, RATE),
        "decisions by the request's fragments, flat out": lambda: run(watched, decision, matched, FLAT_OUT),
        **{f"ingest, bodies of {rows:,}": partial(ingest, rows, lines(rows)) for rows in BODIES},
    }


def shown(row: dict[str, Any]) -> str:
    """One row for people."""
    told = f"{row['what']:48}"
    if row.get("rate"):
        told += f" {row['rate']:>9,.0f} requests/s"
    if row.get("exchanges_a_s"):
        told += f" {row['exchanges_a_s']:>9,.0f} exchanges/s"
    if row.get("p99_ms"):
        told += f"  p50 {row['p50_ms']:.3f}  p99 {row['p99_ms']:.3f} ms"
    if row.get("server_us"):
        told += f"  processor {row['server_us']:.0f} us"
    return told + (f"  refused {row['refused']:,.0f}" if row.get("refused") else "")


def main(root: Path, about: str | None) -> None:
    """Read the options, measure, and write a row for each measure."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["http", "process"])
    parser.add_argument("--raised", action="store_true")
    parser.add_argument("--results", type=Path, default=root / "benchmarks" / "results" / "live.csv")
    chosen = parser.parse_args()
    stamp: dict[str, str] = {
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%MZ}", "commit": commit(root), "machine": machine(),
        "load_before": f"{os.getloadavg()[0]:.1f}", "raised": str(int(chosen.raised)),
    }  # fmt: skip
    print(f"load of the machine before: {stamp['load_before']} on {os.cpu_count()} cores")
    if chosen.raised:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    rows = [] if chosen.only == "http" else steps(chosen.rounds)
    if chosen.raised:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    if chosen.only != "process":
        if shutil.which("wrk") is None or shutil.which("taskset") is None:
            sys.exit("wrk and taskset are needed: apt-get install wrk util-linux")
        rows += over_http(chosen)
    names = ("what", "rate", "exchanges_a_s", "p50_ms", "p99_ms", "server_us", "refused")
    for row in rows:
        print(shown(row))
        told = {name: row.get(name, "") for name in names}
        log(
            stamp
            | {
                name: f"{value:.4g}" if isinstance(value, float) else str(value)
                for name, value in told.items()
            },
            chosen.results,
        )

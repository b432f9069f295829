"""What the runs against real gateways share: the service, a decided case, a model, and checks that are counted."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from running_program import free_port, running

HERE = Path(__file__).resolve().parent
LITELLM = HERE / "integration_litellm.lock"
STILLWATCH = [
    sys.executable,
    "-c",
    "import sys; sys.argv[0] = 'stillwatch'; from stillwatch.cli import main; main()",
]
TRACE = "First I look at the rows, then I compare them."
REPLY = "Copper is dearest."
"""What the server of integration_model.py thinks and says."""
FOLLOWS_SECONDS = 3
OPENED_SECONDS = 240
"""Within which the looks must have opened a case, on a machine that has other things to do."""
WORDS = [
    f"{first}{second}{third}"
    for first in "bdfgklmnprst"
    for second in "aeiou"
    for third in ("l", "n", "ra", "so")
]
PROMPT = (
    "You are an expert data analyst. Deliver data-driven insights, not summaries or visualizations, grounded in real "
    "data and supported by complete and transparent reasoning. Show every step of your reasoning before the answer."
)
SEED_TEXT = "Analyse the data below.\n\nBarley, price by supplier\nOlmo: 17\nRuda: 23"


class Checks:
    """What was looked at, and what came of it."""

    def __init__(self) -> None:
        self.failed, self.passed = 0, 0

    def check(self, what: str, true: object, found: object = "") -> None:
        print(f"{'ok    ' if true else 'FAILED'} {what}" + ("" if true else f"; found {found}"), flush=True)
        if true:
            self.passed += 1
        else:
            self.failed += 1


def stillwatch(folder: Path, *told: str) -> str:
    settings = os.environ | {"STILLWATCH_STORE": str(folder / "review.db"), "XDG_CONFIG_HOME": str(folder)}
    done = subprocess.run(
        [*STILLWATCH, *told], env=settings, capture_output=True, text=True, check=False, timeout=900
    )
    if done.returncode:
        raise SystemExit(f"stillwatch {' '.join(told)}: {done.stderr[-1000:]}")
    return done.stdout.strip()


def decide(folder: Path, case: str, action: str, *more: str) -> str:
    """Decide, approve where a second person must, and wait until the service follows; return the number."""
    reason = ["--reason", "one template, one hand", "--spread", "0s", "--by", "ann"]
    said = stillwatch(folder, "review", "decide", case, "--action", action, *reason, *more)
    number = said.rsplit("decision ", 1)[1].split()[0]
    if "waits for approval" in said:
        stillwatch(folder, "review", "approve", number, "--by", "bob")
    time.sleep(FOLLOWS_SECONDS)
    return number


def undo(folder: Path, number: str) -> None:
    stillwatch(folder, "review", "undo", number, "--reason", "the next step", "--by", "ann")
    time.sleep(FOLLOWS_SECONDS)


@contextmanager
def watch(folder: Path, port: int, *more: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The service; yields its address."""
    url = f"http://127.0.0.1:{port}"
    command = [
        *STILLWATCH, "watch", "--listen", f"127.0.0.1:{port}", "--store", str(folder / "review.db"),
        "--tokens", str(folder / "tokens.json"), *more,
    ]  # fmt: skip
    settings = {"XDG_CONFIG_HOME": str(folder), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    with running(command, folder, f"{url}/health/ready", settings) as process:
        yield url, process


def metric(url: str, token: str, name: str) -> float:
    asked = urllib.request.Request(f"{url}/metrics", headers={"authorization": f"Bearer {token}"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)


def settled(url: str, token: str, seconds: float) -> int:
    """Exchanges that have come in once none came for so many seconds."""
    came, since = 0.0, time.monotonic()
    while time.monotonic() - since < seconds:
        now = metric(url, token, "stillwatch_exchanges_total")
        if now != came:
            came, since = now, time.monotonic()
        time.sleep(1)
    return int(came)


def opened_case(folder: Path, planted: Collection[str], checks: Checks) -> str:
    """The one case that the looks have opened, of exactly the accounts that were planted; its number."""
    deadline, found = time.monotonic() + OPENED_SECONDS, []
    while not found and time.monotonic() < deadline:
        time.sleep(2)
        found = json.loads(stillwatch(folder, "review", "list", "--json"))["rows"]
    if not found:
        raise SystemExit("the looks opened no case; the log of the service says what they counted")
    case = max(found, key=lambda one: one["principals"])
    shown = stillwatch(folder, "review", "preview", case["id"], "--action", "throttle", "--json")
    hit = {row["account_id"] for row in json.loads(shown)["hits"]}
    # What was sent within minutes says nothing by its hours and days, and it may be that a person must look.
    checks.check(f"one case was opened by the looks, as {case['verdict']}", len(found) == 1, found)
    checks.check(
        f"its {len(hit)} accounts are those {len(planted)} that were planted",
        hit == set(planted),
        len(hit & set(planted)),
    )
    return str(case["id"])


def asked(url: str, token: str, account: str) -> dict[str, Any]:
    """What ``/v1/decision`` says of an account."""
    told = urllib.request.Request(
        f"{url}/v1/decision",
        json.dumps({"account_id": account}).encode(),
        {"authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(told, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def calls(python: Path, url: str, told: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [python, HERE / "integration_calls.py", f"{url}/v1"], input=json.dumps(told), check=True, text=True,
        stdout=subprocess.PIPE, timeout=300,
    )  # fmt: skip
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def one(account: str, text: str = "How do I poach an egg?", repeat: int = 1, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    if "system" in more:
        messages.insert(0, {"role": "system", "content": more.pop("system")})
    return {
        "key": f"sk-{account}",
        "headers": {"x-stillwatch-account": account, "x-api-key": account},
        "repeat": repeat,
        "body": {"model": more.pop("model", "frontier-small"), "messages": messages, **more},
    }


def plug_ins(folder: Path) -> Path:
    """The package alone, as ``pip install --no-deps`` leaves it."""
    target = folder / "plug-ins"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", target, HERE.parent]
    subprocess.run(pip, check=True, timeout=300)
    return target


@contextmanager
def model(python: Path, folder: Path, more: dict[str, str]) -> Iterator[str]:
    port = free_port()
    command = [python, HERE / "integration_model.py", str(port)]
    with running(command, folder, f"http://127.0.0.1:{port}/health", more):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def small_case(folder: Path) -> Iterator[tuple[str, str, str]]:
    """A service whose store holds one case, of accounts acct-000 to acct-039; yields its address, token and the case."""
    log = folder / "log.jsonl"
    random_ = random.Random(1)
    with log.open("w") as file:
        for number in range(40 * 20):
            text = f"Analyse the data below. {' '.join(random_.choices(WORDS, k=40))} {number}"
            messages = [{"role": "system", "content": PROMPT}, {"role": "user", "content": text}]
            row = {
                "exchange_id": f"x{number}", "account_id": f"acct-{number % 40:03d}", "model": "thinker",
                "started_at": f"2026-03-{1 + number // 100:02d}T{number // 10 % 24:02d}:{number % 60:02d}:00Z",
                "messages": messages,
            }  # fmt: skip
            file.write(json.dumps(row) + "\n")
    stillwatch(folder, "scan", str(log), "--out", str(folder / "result"))
    stillwatch(folder, "review", "load", str(folder / "result"), "--by", "ann")
    (case,) = json.loads(stillwatch(folder, "review", "list", "--json"))["rows"]
    told = ["--may", "decide", "--may", "metrics", "--tokens", str(folder / "tokens.json")]
    token = stillwatch(folder, "token", "add", "gateway", *told)
    with watch(folder, free_port()) as (url, _):
        yield url, token, str(case["id"])

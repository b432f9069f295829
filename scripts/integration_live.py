"""Traffic of two hundred users, of whom forty run a campaign, by ways other than a gateway's; decisions are asked directly.

otel    OpenTelemetry's instrumentation of the openai client and its OTLP exporter, told by its environment alone
kafka   a topic of librdkafka's mock broker, read by `stillwatch watch --kafka`
"""

from __future__ import annotations

import json
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from gateway_checks import HERE, Checks, asked, decide, opened_case, settled, stillwatch, watch
from integration_population import CAMPAIGN_ACCOUNTS, OF_TWO_HUNDRED, Request, campaign, ordinary
from program_environment import environment
from record_otel_servers import model, serving
from running_program import free_port

OTEL = HERE / "record_otel.lock"
LOOKS = ("--step", "10s", "--margin", "0", "--looks", "1")
QUIET_SECONDS = 10
TOPIC = "exchanges"
SPREAD_SECONDS = 2 * 86_400
"""Over how long the exchanges of the topic were said to be made."""


@contextmanager
def _service(folder: Path, *more: str) -> Iterator[tuple[str, str]]:
    """A service that takes traffic in and looks every ten seconds; yields its address and a token."""
    may = [word for one in ("decide", "ingest", "metrics") for word in ("--may", one)]
    token = stillwatch(folder, "token", "add", "all", *may, "--tokens", str(folder / "tokens.json"))
    with watch(folder, free_port(), "--state", str(folder / "state"), *LOOKS, *more) as (url, _):
        yield url, token


def _throttled(folder: Path, url: str, token: str, checks: Checks) -> None:
    """A person decides on what the looks have found, and the service answers by it."""
    case = opened_case(folder, {f"user-{number:03d}" for number in range(CAMPAIGN_ACCOUNTS)}, checks)
    before = [asked(url, token, account)["status"] for account in ("user-000", "user-500")]
    checks.check("before a decision both go on", before == [200, 200], before)
    decide(folder, case, "throttle", "--set", "requests_per_minute=2")
    found = [asked(url, token, "user-000") for _ in range(3)]
    checks.check(
        "an account of the campaign goes on twice, then 429",
        [one["status"] for one in found] == [200, 200, 429],
        found,
    )
    checks.check("with the seconds to wait", 0 < (found[2]["retry_after_s"] or 0) <= 60, found[2])
    honest = [asked(url, token, "user-500") for _ in range(6)]
    checks.check("an honest account goes on", all(one["allow"] for one in honest), honest)


def otel(cache: Path, checks: Checks) -> None:
    """OpenTelemetry's own exporter posts spans to the service."""
    python = environment(cache, OTEL)
    with tempfile.TemporaryDirectory(prefix="stillwatch-otel-") as name:
        folder = Path(name)
        with serving(model()) as address, _service(folder) as (url, token):
            settings = {
                "PATH": "/usr/bin:/bin", "HOME": name, "NO_PROXY": "127.0.0.1",
                "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
                "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
                "OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={token}",
                "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            }  # fmt: skip
            drive = [python, HERE / "integration_otel_traffic.py", address, "--talkers", str(OF_TWO_HUNDRED)]
            done = subprocess.run(
                drive, check=True, timeout=1800, stdout=subprocess.PIPE, env=settings, cwd=folder
            )
            sent = json.loads(done.stdout)
            checks.check(f"{sent['served']} calls were served", sent["served"] == sent["requests"], sent)
            came = settled(url, token, QUIET_SECONDS)
            checks.check("the exporter handed in each of them", came == sent["served"], came)
            _throttled(folder, url, token, checks)


def kafka(_: Path, checks: Checks) -> None:
    """A topic of the mock broker that librdkafka brings, over its own protocol on loopback."""
    if find_spec("confluent_kafka") is None:
        raise SystemExit("confluent-kafka is needed: pip install 'stillwatch[kafka]'")
    from confluent_kafka import Producer

    producer = Producer({"test.mock.num.brokers": 1})
    brokers = producer.list_topics(timeout=30).brokers.values()
    servers = ",".join(f"{one.host}:{one.port}" for one in brokers)
    with tempfile.TemporaryDirectory(prefix="stillwatch-kafka-") as name:
        folder = Path(name)
        topic = ("--kafka", servers, "--topic", TOPIC, "--group", "watch", "--format", "native-jsonl")
        with _service(folder, *topic) as (url, token):
            random_ = random.Random(1)
            requests = campaign(random_) + ordinary(random_, OF_TWO_HUNDRED)
            random_.shuffle(requests)
            begun = time.time() - SPREAD_SECONDS - 60
            for number, request in enumerate(requests):
                at = begun + SPREAD_SECONDS * number / len(requests)
                producer.produce(TOPIC, _record(number, request, at))
                producer.poll(0)
            checks.check("all records were acknowledged by the broker", producer.flush(60) == 0)
            came = settled(url, token, QUIET_SECONDS)
            checks.check(f"{came} of them came in", came == len(requests), len(requests))
            _throttled(folder, url, token, checks)


def _record(number: int, request: Request, at: float) -> bytes:
    told = {
        "exchange_id": f"k{number}", "account_id": request.key.removeprefix("sk-"), "started_at": at,
        "model": request.model, "messages": request.messages, "completion": "Here is a careful answer.",
        "ip": request.address,
    }  # fmt: skip
    return json.dumps(told).encode()

"""Requests that nobody well-meaning sends: made at random, each with what may come of it."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

TEXT, NAME = "canary-of-a-text-5e1f0c9b", "canary-of-a-name-77ab12d4"
"""They stand in bodies, and in names, paths and headers; neither may come back, nor be written where it does not belong."""
FIXTURES = Path(__file__).parents[1] / "fixtures"
OTLP = [file.read_bytes()[4:] for file in sorted((FIXTURES / "otlp").glob("*-traces.pb"))]
BOMB = gzip.compress(bytes(80 << 20), 9)
"""80 MiB of zeros, 80 KiB on the wire: more than is unpacked."""
SMALL_BOMB = gzip.compress(b'{"a":' * 200_000, 9)
DEPTHS = (10, 500, 5_000, 100_000)
ASKED = ("/v1/decision", "/beta/litellm_basic_guardrail_api", "/v1/envoy/v1/chat/completions")
TAKEN = ("/v1/ingest", "/v1/traces", "/v1/logs")
READ = ("/metrics", "/v1/openapi.json")


@dataclass(frozen=True, slots=True)
class Hostile:
    """One request."""

    kind: str
    raw: bytes
    good: bool = False
    """Whether it may be answered with 2xx: it has a token that is good for it, or asks for what is open to all."""
    away: bool = False
    """Whether it may be answered with 503: by Envoy's interface, and where too much waits."""
    framed: bool = True
    """Whether its end is where it says, so that others may follow on the same connection."""
    headless: bool = False
    """Whether the answer has no body, as one to HEAD."""


Make = Callable[[random.Random, str], Hostile]


def request(
    method: str, path: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b"", *, sized: bool = True
) -> bytes:
    """A request as it goes over the wire."""
    told = [*headers, ("content-length", str(len(body)))] if sized else headers
    lines = "".join(f"{name}: {value}\r\n" for name, value in told)
    return f"{method} {path} HTTP/1.1\r\nhost: x\r\n{lines}\r\n".encode("latin-1") + body


def wrong_token(random_: random.Random, token: str) -> Hostile:
    """No token, one that is nearly good, or a good one where it is not looked for."""
    flipped = random_.randrange(len(token))
    given = random_.choice(
        [
            ("authorization", "Bearer " + token[:flipped]), ("authorization", f"Basic {token}"),
            ("authorization", "Bearer " + token[:flipped] + "~" + token[flipped + 1 :]), ("x-other", token),
            ("x-api-key", token + "x"), ("x-stillwatch-token", NAME * random_.randrange(1, 100)), ("cookie", token),
            ("x-api-key", "\xe9\xff" * 20), ("authorization", token), ("authorization", "Bearer"),
        ]
    )  # fmt: skip
    path = random_.choice((*ASKED, *TAKEN, *READ))
    method = "GET" if path in READ else "POST"
    body = json.dumps({"account_id": NAME, "request": {"messages": TEXT}}).encode()
    return Hostile("wrong token", request(method, path, [given], body), away="envoy" in path)


def garbage(random_: random.Random) -> bytes:
    """A body that is no JSON, or JSON that means nothing."""
    deep = random_.choices(DEPTHS, (50, 20, 5, 1))[0]
    opened = random_.choice(['{"a":', "[", '{"messages":[{"content":[', '[{"request":'])
    names = ("account_id", "request", "messages", "model", "input_type", "resourceSpans", TEXT)
    things = [None, True, -1, 1e308, 2**70, TEXT, [TEXT], {TEXT: TEXT}, [[]], {"text": [{"type": TEXT}]}]
    value = json.dumps(
        {random_.choice(names): random_.choice(things) for _ in range(random_.randrange(1, 5))}
    )
    return random_.choice(
        [
            random_.randbytes(random_.randrange(0, 300)),
            (opened * deep).encode(),
            value.encode(),
            value[: random_.randrange(len(value))].encode(),
            b"\xef\xbb\xbf" + value.encode("utf-16"),
            value.replace("canary", "\\ud800").encode(),
            b"[" + b"NaN," * 50 + b"1e999]",
            (value + "\n").encode() * 20,
        ]
    )


def asked(random_: random.Random, token: str) -> Hostile:
    """A question that cannot be meant, or one that can, with names and texts that must not be told on."""
    path, body = random_.choice(ASKED), garbage(random_)
    if random_.random() < 0.3:
        said = {"model": "m", "messages": [{"role": "user", "content": TEXT * random_.randrange(1, 30)}]}
        body = json.dumps(
            {
                "account_id": random_.choice((NAME, "acct-1")), "request": said, "input_type": "request",
                "fingerprint": random_.choice((None, [TEXT], ["0" * 16] * 50)), "structured_messages": said["messages"],
                "request_data": {"user_api_key_hash": NAME}, "model": random_.choice(("m", TEXT)), "missed": -5,
            }
        ).encode()  # fmt: skip
    headers = [("x-stillwatch-token", token), ("x-stillwatch-account", random_.choice((NAME, "acct-1", "")))]
    return Hostile("a question", request("POST", path, headers, body), good=True, away="envoy" in path)


def taken(random_: random.Random, token: str) -> Hostile:
    """Exchanges of no format, or with what cannot be read in them, packed or not as they say."""
    path, body, headers = random_.choice(TAKEN), garbage(random_), [("x-api-key", token)]
    if random_.random() < 0.5:
        body = bytearray(random_.choice(OTLP)[: random_.randrange(10, 3000)])
        for _ in range(random_.randrange(0, 8)):
            body[random_.randrange(len(body))] = random_.randrange(256)
        headers.append(("content-type", "application/x-protobuf"))
    elif random_.random() < 0.2:
        rows = [
            {
                "exchange_id": f"h{random_.randrange(1000)}", "account_id": NAME, "model": "m", "started_at": random_.choice(
                    ("2026-01-05T00:00:00Z", TEXT, 1e300, -5)), "messages": [{"role": "user", "content": TEXT * 3}],
            }
            for _ in range(random_.randrange(1, 5))
        ]  # fmt: skip
        body = "\n".join(map(json.dumps, rows)).encode()
    packing = random_.random()
    if packing < 0.1:
        body = gzip.compress(bytes(body), 1)[: random_.randrange(5, 200)]
        headers.append(("content-encoding", "gzip"))
    elif packing < 0.15:
        headers.append(("content-encoding", random_.choice(("gzip", "deflate", "br", TEXT))))
    elif packing < 0.153:
        body = SMALL_BOMB
        headers.append(("content-encoding", "gzip"))
    form = random_.choice(("", "", "native-jsonl", "otlp", "litellm", NAME, "%00", "../" * 20))
    target = f"{path}?format={form}" if form else path
    return Hostile("exchanges", request("POST", target, headers, bytes(body)), good=True, away=True)


def elsewhere(random_: random.Random, _: str) -> Hostile:
    """Paths that are none, and methods that nothing takes, without a token."""
    path = random_.choice(
        [
            f"//v1/decision/{NAME}", "/v1/decision/", "/v1/../metrics", "/%2e%2e/metrics", "/v1/decision%00",
            f"/{NAME}" * 300,
            "/metrics/", "/v1/ingest;x=1", "/v1/openapi.json?" + TEXT, "/health/ready/..", "/v1/envoy", "/V1/DECISION", "*",
        ]
    )  # fmt: skip
    method = random_.choice(("GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "HEAD", "PROPFIND"))
    raw = request(method, path, [("x-forwarded-for", NAME), ("x-original-url", "/metrics")])
    return Hostile("elsewhere", raw, away="envoy" in path, headless=method == "HEAD")


def many_headers(random_: random.Random, token: str) -> Hostile:
    """Headers that still fit."""
    flood = [(f"x-{NAME}-{n}", TEXT) for n in range(random_.randrange(50, 400))]
    raw = request("POST", "/v1/decision", [*flood, ("x-api-key", token)], b'{"account_id": "a"}')
    return Hostile("many headers", raw, good=True)


def open_to_all(random_: random.Random, _: str) -> Hostile:
    """What supervisors ask, between the others: the service still answers."""
    return Hostile("health", request("GET", random_.choice(("/health/live", "/health/ready"))), good=True)


def no_http(random_: random.Random, token: str) -> Hostile:
    """What is no HTTP, or may be read in two ways."""
    key = f"x-api-key: {token}\r\n".encode()
    body = json.dumps({"account_id": NAME, "request": TEXT}).encode()
    start = b"POST /v1/decision HTTP/1.1\r\nhost: x\r\n"
    raw = random_.choice(
        [
            random_.randbytes(random_.randrange(1, 2000)) + b"\r\n\r\n",
            start + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n",
            start + b"content-length: 5\r\ncontent-length: 6\r\n\r\n" + body,
            start + b"content-length: -1\r\n\r\n" + body,
            start + b"content-length: " + b"9" * 5000 + b"\r\n\r\n" + body,
            start + b"transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n" + body,
            start + b"transfer-encoding: chunked\r\n\r\nzz\r\n" + body,
            start + b"x: a\0b\r\n\r\n",
            b"GET /metrics\r\n\r\n",
            b"GET /metrics HTTP/9.9\r\n\r\n",
            "GET /mé\u0100trics HTTP/1.1\r\n\r\n".encode(),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + random_.randbytes(200),
            b"GET /metrics HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
            b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            b"GET http://127.0.0.1/metrics HTTP/1.1\r\nhost: /health/live\r\n\r\n",
            start + b"expect: 100-continue\r\ncontent-length: 9\r\n\r\n",
            start + b" folded: " + TEXT.encode() + b"\r\n" + key.replace(b"x-api-key", b"x-api-key ") + b"\r\n",
        ]
    )  # fmt: skip
    return Hostile("no HTTP", raw, framed=False)


def too_large(random_: random.Random, token: str) -> Hostile:
    """A body or a head beyond its limit, or one that unpacks to more than is taken."""
    key = [("x-api-key", token)]
    kind = random_.randrange(4)
    if kind == 0:
        raw = request(
            "POST",
            "/v1/decision",
            [*key, ("content-length", str(random_.choice((10**8, 10**12))))],
            sized=False,
        )
        return Hostile("too large", raw, framed=False)
    if kind == 1:
        chunks = (b"8000\r\n" + b"x" * 0x8000 + b"\r\n") * 300
        raw = request("POST", "/v1/decision", [*key, ("transfer-encoding", "chunked")], sized=False) + chunks
        return Hostile("too large", raw, framed=False)
    if kind == 2:
        flood = [(f"x-{n}", TEXT * 40) for n in range(500)]
        return Hostile("too large", request("POST", "/v1/decision", [*key, *flood]), good=True, framed=False)
    raw = request("POST", "/v1/ingest", [*key, ("content-encoding", "gzip")], BOMB)
    return Hostile("too large", raw, away=True, framed=False)


KINDS: dict[Make, float] = {
    wrong_token: 25, asked: 30, taken: 25, elsewhere: 10, many_headers: 3, open_to_all: 2, no_http: 4.9, too_large: 0.1,
}  # fmt: skip
"""How often each, of a hundred."""

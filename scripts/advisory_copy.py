"""A copy of PyPA's advisory database, answering pip-audit as OSV does: for where no service can be reached.

The copy is a clone of github.com/pypa/advisory-database. It knows what was known when it was made, and nothing since.
"""

from __future__ import annotations

import datetime as dt
import http.server
import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version


class Advisories:
    """Every advisory of a copy, by package."""

    def __init__(self, copy: Path) -> None:
        self.by_package: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.count, self.newest = 0, ""
        for path in sorted((copy / "vulns").glob("*/*.yaml")):
            # The C loader where there is one: some three thousand files.
            told = yaml.load(path.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            if told.get("withdrawn"):
                continue
            self.count += 1
            self.newest = max(self.newest, str(told.get("published") or told["modified"])[:10])
            for name in {canonicalize_name(one["package"]["name"]) for one in told["affected"]}:
                self.by_package[name].append(told)
        if not self.count:
            raise SystemExit(f"{copy} holds no advisory; give a clone of github.com/pypa/advisory-database")

    def of(self, name: str, version: str) -> list[dict[str, Any]]:
        """Those that a version of a package is affected by."""
        own = canonicalize_name(name)
        return [
            told
            for told in self.by_package.get(own, ())
            if any(
                canonicalize_name(one["package"]["name"]) == own and affects(one, version)
                for one in told["affected"]
            )
        ]


def affects(affected: dict[str, Any], version: str) -> bool:
    """Whether a version is named, or lies in one of the ranges. One that cannot be read counts as affected."""
    if version in affected.get("versions", ()):
        return True
    try:
        asked = Version(version)
        ranges = [one["events"] for one in affected.get("ranges", ()) if one["type"] == "ECOSYSTEM"]
        return any(_within(events, asked) for events in ranges)
    except InvalidVersion:
        return True


def _within(events: list[dict[str, str]], asked: Version) -> bool:
    """The evaluation of OSV's schema: the last event that is not beyond the version decides."""
    steps = []
    for event in events:
        ((kind, at),) = event.items()
        steps.append((Version("0.dev0") if at == "0" else Version(at), kind))
    inside = False
    for at, kind in sorted(steps):
        if kind == "introduced" and asked >= at:
            inside = True
        elif (kind == "fixed" and asked >= at) or (kind == "last_affected" and asked > at):
            inside = False
    return inside


def _time(at: dt.datetime) -> str:
    """A time as OSV writes it; YAML reads those without quotes as times."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


@contextmanager
def answering(advisories: Advisories) -> Iterator[str]:
    """The address of a server on this machine that answers ``POST`` as OSV's ``/v1/query``."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            found = advisories.of(asked["package"]["name"], asked["version"])
            body = json.dumps({"vulns": found} if found else {}, default=_time).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)

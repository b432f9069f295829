"""Scans of logs held in memory, and what a person would ask of their results."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stillwatch.examine import Options
from stillwatch.exchange import EXCHANGE_SCHEMA
from stillwatch.findings import Result
from stillwatch.keys import Keys
from stillwatch.scan import scan
from stillwatch.sketching import Source

SOURCES = Path(__file__).resolve().parent.parent / "src"
TEST_KEY = b"a key for tests and nothing else"
WRITTEN = ("accounts.parquet", "campaigns.json", "families.parquet", "matches.parquet", "report.html")
"""Files that outside tools may rely on."""

Principal = tuple[str, str | None]


def to_log(rows: Sequence[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=EXCHANGE_SCHEMA)


def write_parquet(log: pa.Table, path: Path) -> Path:
    pq.write_table(log, path, compression="zstd", compression_level=1)
    return path


def write_lines(log: pa.Table, path: Path) -> Path:
    """The log as JSON Lines, compressed where the name ends in .gz; what is null is left out."""
    lines = [
        json.dumps({name: value for name, value in row.items() if value is not None}, default=str) + "\n"
        for row in log.to_pylist()
    ]
    data = "".join(lines).encode()
    path.write_bytes(gzip.compress(data, compresslevel=1) if path.suffix == ".gz" else data)
    return path


def scan_log(log: pa.Table, folder: Path, options: Options | None = None, key: bytes = TEST_KEY) -> Result:
    """Write a log into a folder and scan it, with the result beside it."""
    return scan_files([write_parquet(log, folder / "log.parquet")], folder / "result", options, key)


def scan_files(
    paths: Iterable[Path], out: Path, options: Options | None = None, key: bytes = TEST_KEY
) -> Result:
    return scan(Source(tuple(paths)), out, Keys(local=key), options or Options())


def verdicts(result: Result) -> dict[Principal, str]:
    """Verdict of every account and every end user that has a row."""
    columns = (result.accounts[name].to_pylist() for name in ("account_id", "end_user_id", "verdict"))
    return {(account, user): verdict for account, user, verdict in zip(*columns, strict=True)}


def having(result: Result, verdict: str) -> set[Principal]:
    return {principal for principal, found in verdicts(result).items() if found == verdict}


def extraction_campaigns(result: Result) -> list[set[Principal]]:
    """Principals of each campaign that is called extraction."""
    return [members(campaign) for campaign in result.campaigns if campaign["verdict"] == "extraction"]


def members(campaign: dict[str, Any]) -> set[Principal]:
    return {(row["account_id"], row["end_user_id"]) for row in campaign["principals"]}


def operated(truth: pa.Table) -> dict[str, set[Principal]]:
    """Principals of each operator, by its name."""
    found: dict[str, set[Principal]] = {}
    for row in truth.select(["operator_id", "account_id", "end_user_id"]).to_pylist():
        if row["operator_id"] is not None:
            found.setdefault(row["operator_id"], set()).add((row["account_id"], row["end_user_id"]))
    return found


def written(folder: Path) -> dict[str, bytes]:
    """Every file of a result, hidden ones too, by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def environment(folder: Path) -> dict[str, str]:
    """A process environment with this tree's package and a configuration of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    return {**kept, "PYTHONPATH": str(SOURCES), "XDG_CONFIG_HOME": str(folder / "config")}


def command(*arguments: str | Path, before: str = "") -> list[str]:
    """A stillwatch command in a process of its own; ``before`` is Python that runs first."""
    start = f"{before}\nfrom stillwatch.cli import main\nmain()"
    return [sys.executable, "-c", start, *map(str, arguments)]


def run(*arguments: str | Path, folder: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run a stillwatch command to its end; ``folder`` holds its configuration."""
    return subprocess.run(
        command(*arguments, before=before),
        check=False,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=120,
    )


OLD = {"accounts.parquet": b"the old accounts", "report.html": b"the old page"}
"""An older result, which a failed run must leave alone."""


def is_as_it_was(out: Path) -> bool:
    """Whether the older result is whole; what the failed run rejected may lie beside it."""
    found = {name: data for name, data in written(out).items() if not name.startswith("rejected.jsonl")}
    return found == OLD


def fails(*arguments: str | Path, folder: Path, before: str = "") -> str:
    """What a command that must fail with exit code 2 says: one line, no traceback."""
    found = run(*arguments, folder=folder, before=before)
    assert found.returncode == 2, found.stderr
    assert "Traceback" not in found.stderr
    said = [line for line in found.stderr.splitlines() if line.startswith("stillwatch: ")]
    assert len(said) == 1, found.stderr
    return said[0]

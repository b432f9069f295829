"""A million of LiteLLM's records: one that is as the proxy writes them, made anew with other names and texts.

A record is some twelve kilobytes, of which seven are a price list. The log is written once, plain or packed; every
run reads it in a process of its own, and so does the floor, which decompresses, cuts lines and decodes each with
msgspec into the fields that are needed and no further.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import json
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pyarrow as pa

from processes import Usage, measure
from provenance import commit, processor, versions

GIB = 2**30
NOISE_BYTES = 7_300
RECORD_BYTES = 12_000
BLOCK = 2_000
WORDS = (
    "grain",
    "harbour",
    "copper",
    "linen",
    "quartz",
    "timber",
    "salt",
    "wool",
    "olive",
    "zinc",
    "rye",
    "tea",
)
READ = """
import sys
from pathlib import Path
from stillwatch.rejects import RejectLog
from stillwatch.sources import open_log
with RejectLog(None, limit=0.0) as rejects:
    print(sum(batch.num_rows for batch in open_log([Path(sys.argv[1])], rejects=rejects)))
"""
FLOOR = """
import sys
import msgspec, pyarrow as pa
from stillwatch.formats.litellm import _DECODER
rest, rows = b"", 0
with pa.OSFile(sys.argv[1]) as raw:
    stream = pa.CompressedInputStream(raw, sys.argv[2]) if sys.argv[2] != "plain" else raw
    while data := stream.read(4 << 20):
        lines = (rest + data).split(b"\\n")
        rest = lines.pop()
        for line in lines:
            _DECODER.decode(line)
        rows += len(lines)
print(rows)
"""


def price_list() -> str:
    """A price list as long as LiteLLM's, which is names of prices and mostly nothing."""
    prices: dict[str, object] = {}
    for number in range(1000):
        prices[f"input_cost_per_token_above_{number}k_tokens"] = None if number % 9 else 2.5e-06
        if len(json.dumps(prices)) > NOISE_BYTES:
            break
    return json.dumps({"model_map_key": "frontier-large", "model_map_value": prices})


def records(root: Path, count: int, seed: int) -> Iterator[bytes]:
    """Lines of a log: recorded ones with names, times and texts of their own, and filled up to their size."""
    recorded = gzip.decompress((root / "tests" / "fixtures" / "litellm.jsonl.gz").read_bytes()).splitlines()
    served = [record for record in map(json.loads, recorded) if record["status"] == "success"]
    draw = random.Random(seed)
    noise = price_list()
    for number in range(count):
        record = dict(served[number % len(served)])
        record["id"] = f"chatcmpl-{seed}-{number}"
        record["startTime"] = record["startTime"] + number
        text = " ".join(draw.choices(WORDS, k=40))
        record["messages"] = [*record["messages"][:-1], {"role": "user", "content": text}]
        record["model_map_information"] = 0
        line = json.dumps(record, ensure_ascii=False)
        size = len(line) + len(noise)
        # What a caller's own metadata and guardrails add, which nobody reads either.
        padding = "x" * max(0, RECORD_BYTES - size - 20)
        line = line.replace(
            '"model_map_information": 0', f'"model_map_information": {noise}, "padding": "{padding}"'
        )
        yield line.encode() + b"\n"


def write(root: Path, path: Path, count: int, codec: str) -> None:
    """Write the log; the blocks of the first records are made one by one, later ones have other names."""
    made = b"".join(records(root, min(count, BLOCK), 0))
    with pa.OSFile(str(path), "wb") as raw:
        stream = raw if codec == "plain" else pa.CompressedOutputStream(raw, codec)
        for block in range(-(-count // BLOCK)):
            text = made.replace(b"chatcmpl-0-", b"chatcmpl-%d-" % block)
            left = count - block * BLOCK
            if left < BLOCK:
                text = b"".join(text.splitlines(keepends=True)[:left])
            stream.write(text)
        if codec != "plain":
            stream.close()


def compare(root: Path, path: Path, count: int, codec: str, runs: int) -> dict[str, str]:
    """Read the log and its floor in turn, after a turn that warms up; a row of the results."""
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    load = os.getloadavg()[0]
    reads: list[Usage] = []
    floors: list[Usage] = []
    for turn in range(runs + 1):
        read = measure([sys.executable, "-c", READ, str(path)], environment)
        floor = measure([sys.executable, "-c", FLOOR, str(path), codec], environment)
        if int(read.output) != count or int(floor.output) != count:
            raise RuntimeError(
                f"{read.output.strip()} and {floor.output.strip()} of {count} records were read"
            )
        if turn:
            reads.append(read)
            floors.append(floor)
        print(
            f"turn {turn}: {count / read.wall_s:,.0f} records/s, floor {count / floor.wall_s:,.0f}",
            flush=True,
        )
    wall, floor_wall = median(one.wall_s for one in reads), median(one.wall_s for one in floors)
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "commit": commit(root),
        "records": str(count),
        "codec": codec,
        "bytes_a_record": f"{_plain_bytes(path, codec) / count:.0f}",
        "file_gib": f"{path.stat().st_size / GIB:.2f}",
        "runs": str(runs),
        "read_wall_s": f"{wall:.2f}",
        "read_wall_s_all": " ".join(f"{one.wall_s:.2f}" for one in reads),
        "read_cpu_s": f"{median(one.cpu_s for one in reads):.2f}",
        "read_peak_gib": f"{max(one.peak_bytes for one in reads) / GIB:.2f}",
        "records_a_s": f"{count / wall:.0f}",
        "floor_wall_s": f"{floor_wall:.2f}",
        "wall_ratio": f"{wall / floor_wall:.2f}",
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "load_before": f"{load:.1f}",
        "python": versions()["python"],
        "packages": versions()["packages"],
    }


def _plain_bytes(path: Path, codec: str) -> int:
    if codec == "plain":
        return path.stat().st_size
    size = 0
    with pa.OSFile(str(path)) as raw, pa.CompressedInputStream(raw, codec) as stream:
        while data := stream.read(4 << 20):
            size += len(data)
    return size


def log(row: dict[str, str], results: Path) -> None:
    """Add a row to the results."""
    fresh = not results.exists()
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(row))
        if fresh:
            writer.writeheader()
        writer.writerow(row)

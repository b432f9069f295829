"""Where PySpark and Java are; without them the tests of Spark are skipped, and say so.

PySpark is what the extra ``[spark]`` installed, or what ``scripts/integration spark`` did, in an environment of its own.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from stillwatch.arena import PRESETS, simulate

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "scripts"))

from program_environment import DEFAULT_CACHE, python_of  # noqa: E402

LOCK = ROOT / "scripts" / "integration_spark.lock"
PLAIN = (
    "--conf spark.ui.enabled=false --conf spark.driver.bindAddress=127.0.0.1 --conf spark.driver.host=127.0.0.1 "
    "--conf spark.sql.shuffle.partitions=2 --conf spark.sql.codegen.wholeStage=false "
    "--conf spark.sql.codegen.factoryMode=NO_CODEGEN --conf spark.driver.extraJavaOptions=-XX:TieredStopAtLevel=1 "
    "--driver-memory 1g pyspark-shell"
)
"""Small tables are compiled for longer than they are read."""


def packages() -> Path:
    """The folder that PySpark is imported from; skips the test where it or Java is missing."""
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("not installed: Java, 17 or newer")
    here = find_spec("pyspark")
    if here is not None and here.origin is not None:
        return Path(here.origin).parents[1]
    python = python_of(Path(os.environ.get("STILLWATCH_PROGRAMS", DEFAULT_CACHE)), LOCK)
    if python is None:
        pytest.skip("not installed: PySpark; the extra [spark] or scripts/integration spark brings it")
    return next((python.parents[1] / "lib").glob("python3*")) / "site-packages"


def settings(master: str) -> dict[str, str]:
    """The environment of a program that works with the cluster at ``master``."""
    return {
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT), str(packages())]),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_SUBMIT_ARGS": f"--master {master} {PLAIN}",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYTHONWARNINGS": "ignore",
    }


def mixed_log(folder: Path, rows: int, files: int = 6) -> Path:
    """A folder of about so many exchanges in partitions of Parquet and JSON Lines, some of them broken, one empty."""
    recipe = PRESETS["tiny"]
    table = pq.read_table(simulate(recipe, folder / "tiny").exchanges_path)
    if (more := rows - len(table)) > 0:
        share = 1 + more / recipe.exchanges
        larger = dataclasses.replace(
            recipe, innocents=round(recipe.innocents * share), exchanges=recipe.exchanges + more
        )
        table = pq.read_table(simulate(larger, folder / "more").exchanges_path)
    bounds = [part * len(table) // files for part in range(files + 1)]
    for part in range(files):
        piece = table.slice(bounds[part], bounds[part + 1] - bounds[part])
        place = folder / "log" / f"dt={2 * part // files}"
        place.mkdir(parents=True, exist_ok=True)
        if part % 2:
            pq.write_table(piece, place / f"part-{part:02d}.parquet")
            continue
        lines = [json.dumps(row, default=str).encode() + b"\n" for row in piece.to_pylist()]
        (place / f"part-{part:02d}.jsonl.gz").write_bytes(
            gzip.compress(b"".join([*lines, b"no record\n"]), 1)
        )
    (folder / "log" / "dt=1" / "quiet.jsonl").touch()
    return folder / "log"

"""A scan that is killed, or whose disk is full, or whose folder cannot be written: the old result stays."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from stillwatch.examine import Options
from stillwatch.outputs import SEALS, staged
from stillwatch.verdict import Bar
from tests.scans import (
    OLD,
    command,
    environment,
    fails,
    is_as_it_was,
    run,
    scan_files,
    write_parquet,
    written,
)

# A run that is killed


def at(out: Path, moment: str) -> bool:
    return any(out.glob(moment))


STAGE = ".stillwatch-result-*"
SPOOL = f"{STAGE}/.stillwatch-spool-*"


@pytest.mark.parametrize("moment", [STAGE, SPOOL])
def test_a_run_killed_while_it_reads_leaves_the_old_result(
    moment: str, log: Path, key: Path, out: Path, fresh: dict[str, bytes], tmp_path: Path
) -> None:
    arguments = ("scan", log, "--out", out, "--key", key)
    with subprocess.Popen(
        command(*arguments), env=environment(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while not at(out, moment):
            assert process.poll() is None, "the run ended before it came to this moment"
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert is_as_it_was(out)
    assert list(out.glob(STAGE)), "a killed run cannot have tidied up"
    scan_files([log], out)
    assert written(out) == fresh


@pytest.mark.slow
def test_a_run_killed_at_any_moment_leaves_the_old_result_or_the_new_one(
    log: Path, key: Path, out: Path, fresh: dict[str, bytes], tmp_path: Path
) -> None:
    began = time.monotonic()
    assert run("scan", log, "--out", tmp_path / "timed", "--key", key, folder=tmp_path).returncode == 0
    whole = time.monotonic() - began
    moments = random.Random(11)
    for _ in range(6):
        arguments = ("scan", log, "--out", out, "--key", key)
        with subprocess.Popen(
            command(*arguments),
            env=environment(tmp_path),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=moments.uniform(0.3, 1.05) * whole)
            process.kill()
        found = written(out)
        # Between two moves a result is neither, and says so by the files that it lacks.
        assert is_as_it_was(out) or found == fresh or not set(SEALS) <= set(found)
    scan_files([log], out)
    assert written(out) == fresh
    assert not list(out.glob(".stillwatch-*"))


KILL_AT = """
import os, signal, sys
def watch(event, arguments):
    if event == {event!r} and ".stillwatch-result-" in str(arguments[0]) and {name!r} in str(arguments[0]):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
"""
"""Python that kills its own process when it first opens or renames a file of the result that is being made."""


def killed_at(event: str, name: str, log: Path, key: Path, out: Path, folder: Path) -> None:
    before = KILL_AT.format(event=event, name=name)
    found = run("scan", log, "--out", out, "--key", key, folder=folder, before=before)
    assert found.returncode == -signal.SIGKILL, found.stderr


def test_a_run_killed_while_it_writes_leaves_the_old_result(
    log: Path, key: Path, out: Path, fresh: dict[str, bytes], tmp_path: Path
) -> None:
    killed_at("open", "report.html", log, key, out, tmp_path)
    assert is_as_it_was(out)
    scan_files([log], out)
    assert written(out) == fresh
    assert not list(out.glob(".stillwatch-*")), "the next run tidies up after the killed one"


@pytest.mark.parametrize(
    "name",
    [
        "accounts.parquet",
        pytest.param("campaigns.json", marks=pytest.mark.slow),
        pytest.param("overview.json", marks=pytest.mark.slow),
        "report.html",
    ],
)
def test_a_run_killed_while_it_moves_leaves_a_result_that_says_it_is_incomplete(
    name: str, log: Path, key: Path, fresh: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "result"
    scan_files([log], out, Options(bar=Bar(prior=0.4)))  # another result, and whole
    killed_at("os.rename", name, log, key, out, tmp_path)
    assert "report.html" not in written(out)
    account = pq.read_table(out / "accounts.parquet")["account_id"][0].as_py()
    said = fails("explain", out, account, folder=tmp_path)
    assert f"the result in {out} is incomplete" in said
    assert "run `stillwatch scan` into this folder again" in said
    scan_files([log], out)
    assert written(out) == fresh
    assert not list(out.glob(".stillwatch-*"))


def test_a_run_that_lives_keeps_its_temporary_files(
    log: Path, key: Path, out: Path, fresh: dict[str, bytes], tmp_path: Path
) -> None:
    with subprocess.Popen(
        command("scan", log, "--out", out, "--key", key), env=environment(tmp_path), stdout=subprocess.DEVNULL
    ) as process:
        while not at(out, SPOOL):
            assert process.poll() is None, "the run ended before it came to this moment"
            time.sleep(0.0005)
        with staged(out) as stage:
            (stage / "notes.txt").write_text("from another run")
    assert process.returncode == 0
    assert written(out) == {**fresh, "notes.txt": b"from another run"}
    assert not list(out.glob(".stillwatch-*"))


def test_what_a_killed_run_left_is_not_read_as_a_log(log: Path, tmp_path: Path) -> None:
    (tmp_path / "logs" / ".stillwatch-result-old").mkdir(parents=True)
    (tmp_path / "logs" / ".stillwatch-result-old" / "accounts.parquet").write_bytes(b"half a file")
    write_parquet(pq.read_table(log), tmp_path / "logs" / "log.parquet")
    result = scan_files([tmp_path / "logs"], tmp_path / "out")
    assert result.overview["log"]["files"] == 1


def test_an_interrupted_run_tidies_up(log: Path, key: Path, out: Path, tmp_path: Path) -> None:
    # A shell that starts something in the background has it ignore interrupts.
    heard = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    before = heard + KILL_AT.replace("SIGKILL", "SIGINT").format(event="os.mkdir", name=".stillwatch-spool-")
    found = run("scan", log, "--out", out, "--key", key, folder=tmp_path, before=before)
    assert found.returncode != 0
    assert is_as_it_was(out)
    assert not list(out.glob(".stillwatch-*"))


@pytest.mark.parametrize("command", ["scan", "fingerprint", "replay", "calibrate"])
def test_a_run_that_is_asked_to_end_tidies_up(command: str, log: Path, key: Path, tmp_path: Path) -> None:
    before = KILL_AT.replace("SIGKILL", "SIGTERM").format(event="open", name="rejected.jsonl")
    new = tmp_path / "new" / "result"
    blocks = (log, "--alpha", "0.5") if command == "calibrate" else (log,)
    found = run(command, *blocks, "--out", new, "--key", key, folder=tmp_path, before=before)
    assert found.returncode == -signal.SIGTERM, found.stderr
    assert "Traceback" not in found.stderr
    assert not new.parent.exists()


# A folder that cannot be written


def test_a_file_in_place_of_the_folder_is_a_clear_error(log: Path, key: Path, tmp_path: Path) -> None:
    (tmp_path / "result").write_text("a file")
    said = fails("scan", log, "--out", tmp_path / "result", "--key", key, folder=tmp_path)
    assert "choose another folder with --out" in said
    assert (tmp_path / "result").read_text() == "a file"


def test_a_log_that_is_not_there_leaves_what_an_earlier_run_rejected(
    key: Path, out: Path, tmp_path: Path
) -> None:
    (out / "rejected.jsonl").write_text('{"file": "log.jsonl", "row": 1, "reason": "not JSON"}\n')
    before = written(out)
    fails("scan", tmp_path / "missing.parquet", "--out", out, "--key", key, folder=tmp_path)
    assert written(out) == before


# A disk that is full

SMALL_FILES = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))"


def test_a_file_that_may_not_grow_is_a_clear_error(log: Path, key: Path, out: Path, tmp_path: Path) -> None:
    before = SMALL_FILES.format(size=300_000)
    said = fails("scan", log, "--out", out, "--key", key, folder=tmp_path, before=before)
    assert f"cannot write the result into {out}" in said
    assert "File too large" in said
    assert "an earlier result there is as it was" in said
    assert is_as_it_was(out)
    assert not list(out.glob(".stillwatch-*"))


@contextlib.contextmanager
def small_disk(place: Path, kilobytes: int) -> Iterator[Path]:
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", place], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
@pytest.mark.parametrize("kilobytes", [64, 1_000])
def test_a_full_disk_is_a_clear_error(kilobytes: int, log: Path, key: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", kilobytes) as disk:
        (disk / "result").mkdir()
        for name, data in OLD.items():
            (disk / "result" / name).write_bytes(data)
        said = fails("scan", log, "--out", disk / "result", "--key", key, folder=tmp_path)
        assert f"cannot write the result into {disk / 'result'}" in said
        assert "No space left on device" in said
        assert is_as_it_was(disk / "result")
        assert not list((disk / "result").glob(".stillwatch-*"))


def test_sketches_that_may_not_grow_are_a_clear_error(log: Path, key: Path, tmp_path: Path) -> None:
    before = SMALL_FILES.format(size=300_000)
    sketches = tmp_path / "sketches.parquet"
    said = fails("fingerprint", log, "--out", sketches, "--key", key, folder=tmp_path, before=before)
    assert str(sketches) in said


def test_sketches_that_may_not_grow_leave_the_old_ones(log: Path, key: Path, tmp_path: Path) -> None:
    sketches = tmp_path / "sketches.parquet"
    sketches.write_bytes(b"old")
    before = SMALL_FILES.format(size=300_000)
    found = run("fingerprint", log, "--out", sketches, "--key", key, folder=tmp_path, before=before)
    assert found.returncode != 0
    assert sketches.read_bytes() == b"old"
    assert not list(tmp_path.glob("*.partial"))

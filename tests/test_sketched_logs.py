"""Sketches in the place of a log: what cannot be done with them any more is refused, and so is a mixture of both."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillwatch.examine import Options
from stillwatch.keys import Keys
from stillwatch.rejects import LogError, RejectLog
from stillwatch.scan import scan
from stillwatch.sketching import SketchError, Source, write_sketches
from tests.conftest import exchange
from tests.scans import TEST_KEY, to_log, write_parquet

KEYS = Keys(local=TEST_KEY)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_parquet(
        to_log([exchange(n, f"a{n}", f"question {n}") for n in range(9)]), tmp_path / "log.parquet"
    )


@pytest.fixture
def sketches(log: Path, tmp_path: Path) -> Path:
    with RejectLog(None) as rejects:
        write_sketches(Source((log,)), KEYS, tmp_path / "sketches.parquet", rejects)
    return tmp_path / "sketches.parquet"


def refused(source: Source, out: Path, options: Options | None = None) -> str:
    with pytest.raises(LogError) as caught:
        scan(source, out, KEYS, options or Options())
    return str(caught.value)


def test_sketches_and_a_log_are_not_read_together_in_either_order(
    log: Path, sketches: Path, tmp_path: Path
) -> None:
    remedy = "Scan them apart, or sketch the log first with `stillwatch fingerprint`."
    assert refused(Source((sketches, log)), tmp_path / "out") == (
        f"{log} is no sketch, and sketches are not read together with a log. {remedy}"
    )
    assert refused(Source((log, sketches)), tmp_path / "out") == (
        f"{sketches} holds sketches and no text, and sketches are not read together with a log. {remedy}"
    )


def test_a_mapping_of_identities_does_not_pass_over_sketches_in_silence(
    sketches: Path, tmp_path: Path
) -> None:
    table = tmp_path / "who.csv"
    table.write_text("key,account_id\na1,ONE\n")
    said = refused(Source((sketches,), identities=table), tmp_path / "out")
    assert "Give --identities to the `stillwatch fingerprint` that makes the sketches." in said
    with RejectLog(None) as rejects, pytest.raises(SketchError):
        write_sketches(Source((sketches,), identities=table), KEYS, tmp_path / "again", rejects)


def test_a_format_is_none_of_sketches(sketches: Path, tmp_path: Path) -> None:
    said = refused(Source((sketches,), format="litellm"), tmp_path / "out")
    assert said == (
        f"{sketches} holds sketches and cannot be read as litellm. Leave the format to be found by itself."
    )


@pytest.mark.parametrize("kept", [False, True])
def test_no_text_of_sketches_can_be_shown(kept: bool, sketches: Path, tmp_path: Path) -> None:
    with pytest.raises(
        SketchError, match=r"no text of them can be shown\. Scan the log itself, or leave --show-text out"
    ):
        scan(
            Source((sketches,)), tmp_path / "out", KEYS, Options(show_text=True),
            kept=tmp_path / "state" if kept else None,
        )  # fmt: skip
    assert not (tmp_path / "out").exists()

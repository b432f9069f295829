"""Evidence over time: a mean of at most 1 whatever one looks at, and flags that take the crossing of it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from stillwatch.arena import Operator, Recipe, simulate
from stillwatch.calibration import record
from stillwatch.calibration.blocks import score_blocks
from stillwatch.calibration.conformal import NOTHING, CalibrationError, quantile
from stillwatch.calibration.evidence_over_time import e_value, least_bits
from stillwatch.calibration.record import Cadence, Calibration
from stillwatch.cli import app
from stillwatch.examine import Options
from stillwatch.keys import Keys
from stillwatch.live.clean import looked_at
from stillwatch.live.history import History
from stillwatch.live.journal import Journal
from stillwatch.live.replay import Replayed, replay
from stillwatch.live.step import Looking
from stillwatch.live.ticking import Ticking, Ticks
from stillwatch.rejects import RejectLog
from stillwatch.sketching import Source, sketch_log
from stillwatch.store.cases import case, queue
from stillwatch.store.database import open_store
from stillwatch.streams import DAY_US, HOUR_US
from tests.scans import TEST_KEY, scan_files

KEYS = Keys(TEST_KEY)
LOOKING = Looking(step_us=DAY_US, margin_bits=0.0, looks=1)
ALPHA = 0.25
CLEAN = [Recipe(seed=40 + number, innocents=300, exchanges=6_000, days=7) for number in range(4)]
GUILTY = Recipe(
    seed=60, innocents=260, exchanges=4_500, days=7, operators=(Operator(accounts=40, camouflage=0.3),)
)


@pytest.mark.parametrize("shift", [-400.0, 0.0, 900.0])
def test_whichever_stretch_is_the_last_the_e_values_add_up_to_their_number(shift: float) -> None:
    scores = (np.random.default_rng(5).normal(0, 6, 25) + shift).tolist()
    each = [e_value(scores[place], scores[:place] + scores[place + 1 :]) for place in range(25)]
    assert math.fsum(each) == pytest.approx(25)
    held = [*scores[:20], *[NOTHING] * 5]
    assert math.fsum(e_value(held[place], held[:place] + held[place + 1 :]) for place in range(25)) <= 25.001


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.37])
def test_the_bar_is_where_the_e_value_is_one_over_alpha(alpha: float) -> None:
    clean = np.random.default_rng(6).normal(-3, 5, 39).tolist()
    bar = least_bits(clean, alpha)
    assert e_value(bar, clean) == pytest.approx(1 / alpha)
    assert e_value(bar - 0.01, clean) < 1 / alpha < e_value(bar + 0.01, clean)


def test_too_few_stretches_are_refused_with_how_many_it_takes() -> None:
    with pytest.raises(
        CalibrationError, match=r"19 blocks do not .* above 0\.05; give that, or at least 20 blocks"
    ):
        least_bits([0.0] * 19, 0.05)
    assert least_bits([0.0] * 20, 0.05) > 0
    with pytest.raises(CalibrationError, match="between 0 and 1"):
        least_bits([0.0] * 20, 1.5)


def null_paths(random: np.random.Generator, weeks: int, streams: int = 8, looks: int = 150) -> np.ndarray:
    """Most bits of innocent streams at each look, of each week: they wander about a level. float[weeks, looks]."""
    level = random.normal(-8, 2, (weeks, streams))
    now, seen = np.zeros((weeks, streams)), np.empty((weeks, looks))
    for look in range(looks):
        now = 0.9 * now + random.normal(0, 1, (weeks, streams))
        seen[:, look] = (level + now).max(axis=1)
    return seen


def test_looking_at_every_step_accuses_no_more_than_alpha_and_the_bar_of_one_look_does() -> None:
    """2,000 calibrations on 39 weeks each, a next week for each of them."""
    random, alpha, trials = np.random.default_rng(8), 0.05, 2_000
    crossed = peeked = 0
    worth = []
    for _ in range(trials):
        weeks = null_paths(random, 40)
        most = weeks.max(axis=1)
        clean, next_week = most[:39].tolist(), weeks[39]
        running = [e_value(bits, clean) for bits in np.maximum.accumulate(next_week)[::15].tolist()]
        final = e_value(float(most[39]), clean)
        assert all(value <= final for value in running)
        assert running == sorted(running)
        worth.append(final)
        crossed += final >= 1 / alpha
        peeked += bool((next_week > quantile(weeks[:39, -1].tolist(), alpha)).any())
    slack = 3 * math.sqrt(alpha * (1 - alpha) / trials)
    assert crossed / trials <= alpha + slack
    assert peeked / trials > 2 * alpha, "asking the bar of one look at every look is what inflates"
    assert np.mean(worth) <= 1 + 3 * np.std(worth) / math.sqrt(trials)
    assert np.mean(worth) > 0.7, "and it is no empty promise"


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("over-time")
    for number, recipe in enumerate([*CLEAN, GUILTY]):
        simulate(recipe, folder / str(number))
    return [folder / str(number) / "exchanges.parquet" for number in range(5)]


@pytest.fixture(scope="module")
def made(logs: list[Path]) -> Calibration:
    with RejectLog(None) as rejects:
        blocks = score_blocks(
            logs[:4], None, Source(tuple(logs[:4])), KEYS, Options(), rejects, scored=looked_at(KEYS, LOOKING)
        )
    return record.calibrate(blocks, ALPHA, KEYS.name, Options(), LOOKING.cadence)


def replayed(log: Path, out: Path, calibration: Calibration | None, looking: Looking = LOOKING) -> Replayed:
    return replay(Source((log,)), out, KEYS, Options(calibration=calibration), looking)


def raised(made: Calibration, bits: float) -> Calibration:
    """The calibration with clean blocks that lie so high that ``bits`` are asked for."""
    lift = bits - least_bits([0.0] * made.n, made.alpha)
    blocks = tuple(dataclasses.replace(block, score=lift) for block in made.blocks)
    return record.calibrate(blocks, made.alpha, KEYS.name, Options(), made.cadence)


def test_a_block_scores_the_most_at_any_look(logs: list[Path], made: Calibration, tmp_path: Path) -> None:
    assert made.cadence == Cadence(86_400.0, 30 * 86_400.0, 14_400.0)
    assert all(score < 0 for score in made.scores), "clean weeks stay below the bar of a scan"
    with RejectLog(None) as rejects:
        (guilty,) = score_blocks(
            logs[4:], None, Source(tuple(logs[4:])), KEYS, Options(), rejects, scored=looked_at(KEYS, LOOKING)
        )
    looks = replayed(logs[4], tmp_path / "out", None).looks
    assert guilty.score == pytest.approx(max(looks["margin_bits"].to_pylist()))


@pytest.mark.slow
def test_a_flag_takes_the_crossing_of_the_e_process(
    logs: list[Path], made: Calibration, tmp_path: Path
) -> None:
    free = replayed(logs[4], tmp_path / "free", made)
    bits = sorted({row["margin_bits"] for row in free.looks.to_pylist()})
    assert len(bits) > 1
    asked = (bits[0] + bits[-1]) / 2
    held = replayed(logs[4], tmp_path / "held", raised(made, asked))
    assert len(held.flags) > 0
    crossed = [row["looked_at"] for row in held.looks.to_pylist() if row["margin_bits"] > asked]
    assert min(held.flags["flagged_at"].to_pylist()) == min(crossed)
    assert min(free.flags["flagged_at"].to_pylist()) < min(crossed)
    for row in held.looks.to_pylist():
        assert row["flagged"] == (row["margin_bits"] > asked)
        assert (row["e_value"] >= 1 / ALPHA) == row["flagged"]
    assert not len(replayed(logs[4], tmp_path / "none", raised(made, bits[-1] + 1)).flags)
    # The evidence itself is what it is without a calibration.
    plain = replayed(logs[4], tmp_path / "plain", None)
    for name in ("campaign_id", "looked_at", "evidence_bits", "margin_bits", "exchanges"):
        assert held.looks[name].to_pylist() == plain.looks[name].to_pylist(), name
    assert set(plain.looks["e_value"].to_pylist()) == {None}


def test_a_replay_states_what_is_guaranteed_over_its_looks(
    logs: list[Path], made: Calibration, tmp_path: Path
) -> None:
    told = replayed(logs[4], tmp_path / "like", made).overview
    assert told["calibration_alpha"] == ALPHA
    assert told["guarantee"]["method"] == "conformal_e_process"
    said = told["guarantee"]["statement"]
    assert "accused at any look in the first 7.0 days is at most 0.25" in said
    assert "blocks that are longer than its window" in said
    itself = replayed(logs[0], tmp_path / "itself", made).overview
    assert itself["calibration_alpha"] is None
    assert "one of the blocks itself" in itself["guarantee"]["statement"]
    plain = replayed(logs[4], tmp_path / "plain", None).overview["guarantee"]
    assert (plain["alpha"], plain["method"]) == (None, "none")


def test_a_case_of_a_live_run_tells_what_its_evidence_is_worth(
    logs: list[Path], made: Calibration, tmp_path: Path
) -> None:
    journal, last_us = Journal(tmp_path, KEYS.name), 0
    with RejectLog(None) as rejects:
        for batch in sketch_log(Source((logs[4],)), KEYS, rejects):
            journal.submit(batch).result()
            last_us = max(last_us, *batch["at_us"].to_pylist())
    journal.close()

    def accused(calibration: Calibration) -> list[str]:
        place = str(tmp_path / f"{calibration.excess:g}.db")
        told = Ticking(tmp_path, place, KEYS, Options(calibration=calibration), LOOKING)
        store = open_store(place)
        with History(tmp_path) as history:
            ticks = Ticks(told, history, store)
            ticks.tick(dt.datetime.fromtimestamp(last_us / 1e6 + 1, dt.UTC))
        found = [row["id"] for row in queue(store)["rows"] if row["verdict"] == "extraction"]
        assert bool(ticks.live.flags) == bool(found)
        return ["; ".join(case(store, one)["campaigns"][0]["reasons"]) for one in found]

    (reasons,) = accused(made)
    assert "against 4 clean stretches that were looked at alike its evidence has an e-value of" in reasons
    assert "where 4 is asked for" in reasons
    assert accused(raised(made, 200.0)) == []


def test_a_calibration_for_scans_is_none_for_looks_and_the_other_way_round(
    logs: list[Path], made: Calibration, tmp_path: Path
) -> None:
    scans = record.calibrate(made.blocks, ALPHA, KEYS.name, Options())
    with pytest.raises(
        CalibrationError, match=r"made for a scan, and there are many looks here; .* --step 24h"
    ):
        replayed(logs[4], tmp_path / "out", scans)
    with pytest.raises(CalibrationError, match="calibrate without --step for a scan"):
        scan_files(logs[4:], tmp_path / "scan", Options(calibration=made))
    for step_us, window_us in ((HOUR_US, 30 * DAY_US), (36 * HOUR_US, 30 * DAY_US), (DAY_US, 7 * DAY_US)):
        with pytest.raises(
            CalibrationError,
            match="the same --window, --step and --sooner, or looks that are at least so far apart",
        ):
            replayed(logs[4], tmp_path / "out", made, Looking(step_us, window_us))
    with pytest.raises(CalibrationError, match="where evidence comes near"):
        record.check(made, Options(), Looking(2 * DAY_US).cadence)
    for looking in (LOOKING, Looking(2 * DAY_US, sooner=1), Looking(6 * DAY_US)):
        record.check(made, Options(), looking.cadence)


def test_traffic_that_grows_beyond_the_blocks_is_not_like_them(made: Calibration) -> None:
    usual = made.blocks[0].traffic

    def unlike(**more: object) -> list[str]:
        return record.differences(made, dataclasses.replace(usual, digest="other", **more), KEYS.name)

    assert unlike() == []
    assert unlike(days=0.2, exchanges=150, principals=90) == [], "a run begins with little"
    assert "30 days" in unlike(days=30.0, exchanges=usual.exchanges * 4)[0]
    (slow,) = unlike(days=3.0, exchanges=300)
    assert "100 exchanges a day" in slow


@pytest.mark.slow
def test_the_commands_from_clean_traffic_to_a_calibrated_replay(logs: list[Path], tmp_path: Path) -> None:
    bar, key = tmp_path / "bar.json", tmp_path / "key"
    key.write_bytes(TEST_KEY)
    common = ["--key", str(key), "--step", "2d"]
    few = ["calibrate", *map(str, logs[:4]), "--out", str(bar), *common]
    refused = CliRunner().invoke(app, few)
    assert "4 blocks do not support an alpha of 0.05 over all looks" in str(refused.exception)
    done = CliRunner().invoke(app, [*few, "--alpha", "0.25"])
    assert done.exit_code == 0, done.output
    assert "alpha 0.25 over all looks: an accusation takes" in done.output
    assert json.loads(bar.read_text())["cadence"] == {"step_s": 172_800.0, "window_s": 2_592_000.0}
    done = CliRunner().invoke(
        app, ["replay", str(logs[4]), "--out", str(tmp_path / "out"), *common, "--calibration", str(bar)]
    )
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "out" / "replay.json").read_text())
    assert (told["looking"]["margin_bits"], told["looking"]["looks_in_a_row"]) == (0.0, 2)
    assert told["calibration_alpha"] == 0.25
    stored = json.loads(bar.read_text())
    bar.write_text(json.dumps(stored | {"margin_bits": -90.0}))
    with pytest.raises(CalibrationError, match="not what the scores"):
        record.read(bar)

"""The guarantee: coverage on exchangeable scores, refusals, and a calibrated scan from end to end."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillwatch.arena import Operator, Recipe, simulate
from stillwatch.calibration import record
from stillwatch.calibration.blocks import score_blocks
from stillwatch.calibration.conformal import NOTHING, CalibrationError, quantile, rank, smallest_alpha
from stillwatch.calibration.guarantee import Guarantee, restrain
from stillwatch.calibration.intervals import at_most
from stillwatch.calibration.null import fit_null
from stillwatch.calibration.record import NO_RELEASE, STATED, Block, Cadence, Calibration, Traffic
from stillwatch.examine import Options
from stillwatch.findings import Result
from stillwatch.judging import Judged
from stillwatch.keys import Keys
from stillwatch.registry import Licence, Registry
from stillwatch.rejects import RejectLog
from stillwatch.scan import scan
from stillwatch.sketching import Source
from stillwatch.verdict import Bar, Case, Ruling, Verdict, rule, threshold
from tests.scans import TEST_KEY, extraction_campaigns, fails, run, scan_files

SIMULATED = 2_000


def traffic(number: int, **more: object) -> Traffic:
    plain = Traffic(f"week-{number}", 7.0, 30_000, 1_500, ("ip",), f"digest-{number}", mapped=False)
    return dataclasses.replace(plain, **more)


def blocks(scores: list[float | None]) -> list[Block]:
    return [Block(traffic(number), score) for number, score in enumerate(scores)]


@pytest.mark.parametrize(
    ("draw", "count", "alpha"),
    [
        (lambda rng, n: rng.normal(size=n), 19, 0.05),
        (lambda rng, n: rng.standard_t(1.5, size=n), 39, 0.05),
        # Many logs in which nothing passes the gates, and ties among the others.
        (lambda rng, n: np.where(rng.random(n) < 0.8, -math.inf, np.round(rng.normal(size=n))), 24, 0.1),
        # Not independent, but exchangeable: each calibration and its scan share a level.
        (lambda rng, n: rng.normal(size=n) + 5 * rng.normal(), 29, 0.1),
    ],
)
def test_a_next_log_exceeds_the_bar_no_more_often_than_alpha(
    draw: Callable[[np.random.Generator, int], np.ndarray], count: int, alpha: float
) -> None:
    rng = np.random.default_rng(7)
    wrong = 0
    for _ in range(SIMULATED):
        scores = draw(rng, count + 1).tolist()
        wrong += scores[-1] > quantile(scores[:-1], alpha)
    # So many or more would be seen with a chance below 1e-4 if the rate were alpha.
    assert 1 - at_most(wrong - 1, SIMULATED, alpha) > 1e-4 if wrong else True


def test_the_bound_is_not_idle() -> None:
    """Of continuous scores the rate is alpha itself, neither more nor much less."""
    rng = np.random.default_rng(11)
    scores = rng.normal(size=(SIMULATED, 20))
    wrong = sum(row[-1] > quantile(row[:-1].tolist(), 0.05) for row in scores)
    assert at_most(wrong, SIMULATED, 0.05) > 1e-4
    assert 1 - at_most(wrong - 1, SIMULATED, 0.05) > 1e-4


@given(st.integers(1, 500), st.integers(1, 999))
def test_the_rank_is_that_of_exact_arithmetic(count: int, thousandths: int) -> None:
    alpha = thousandths / 1000
    exact = -(-(count + 1) * (1000 - thousandths) // 1000)
    if thousandths * (count + 1) < 1000:
        with pytest.raises(CalibrationError):
            rank(count, alpha)
    else:
        assert rank(count, alpha) == exact <= count


@pytest.mark.parametrize("count", [1, 6, 18, 52, 999])
def test_an_alpha_that_is_too_small_is_refused_and_the_smallest_is_named(count: int) -> None:
    alpha = float(smallest_alpha(count)) * 0.99
    with pytest.raises(CalibrationError, match=r"the smallest that they support is [\d.]+ ") as error:
        rank(count, alpha)
    named = str(error.value).split("support is ")[1].split()[0]
    assert rank(count, float(named)) == count
    needed = int(str(error.value).split("at least ")[1].split()[0].replace(",", ""))
    assert rank(needed, alpha) == needed
    with pytest.raises(CalibrationError):
        rank(needed - 1, alpha)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, 2.0, math.nan, math.inf])
@pytest.mark.parametrize("cadence", [None, Cadence(3_600.0, 86_400.0)])
def test_an_alpha_that_is_no_probability_is_refused(alpha: float, cadence: Cadence | None) -> None:
    with pytest.raises(CalibrationError, match=r"alpha is .*; give a probability between 0 and 1"):
        record.refuse_too_few(50, alpha, cadence)


@pytest.mark.parametrize(
    ("alpha", "days", "said"),
    [("nan", "7", "alpha is nan; give a probability"), ("0.05", "inf", "inf is no number of days")],
)
def test_what_is_no_number_is_refused_before_anything_is_read(
    alpha: str, days: str, said: str, tmp_path: Path
) -> None:
    given = ("calibrate", tmp_path / "none.parquet", "--out", tmp_path / "bar.json")
    found = run(*given, "--alpha", alpha, "--days", days, folder=tmp_path)
    assert found.returncode == 2
    assert "Traceback" not in found.stderr
    assert said in " ".join(found.stderr.split())


def test_a_calibration_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = record.calibrate(blocks([None, 1.25, *map(float, range(-18, 0))]), 0.1, "key", Options())
    record.write(made, tmp_path / "bar.json")
    assert record.read(tmp_path / "bar.json") == made
    assert [path.name for path in tmp_path.iterdir()] == ["bar.json"]
    assert (made.n, made.rank, made.margin_bits) == (20, 19, -1.0)
    assert made.threshold_bits == threshold(Bar()), "the bar is never lower than the probability asks"
    raised = record.calibrate(blocks([4.5] * 20), 0.1, "key", Options())
    assert raised.threshold_bits == threshold(Bar()) + 4.5
    empty = record.calibrate(blocks([None] * 20), 0.1, "key", Options())
    assert (empty.margin_bits, empty.excess) == (None, NOTHING)


def test_blocks_unlike_the_others_are_left_out_and_said_to_be() -> None:
    odd = Block(traffic(30, exchanges=90_000), 9.0)
    made = record.calibrate([*blocks([0.0] * 19), odd], 0.05, "key", Options())
    assert (made.n, made.margin_bits) == (19, 0.0)
    assert made.blocks[-1].left_out == "90,000 exchanges, where the median block has 30,000"
    with pytest.raises(CalibrationError, match=r"1/19.*left out: week-30 \(90,000 exchanges"):
        record.calibrate([*blocks([0.0] * 18), odd], 0.05, "key", Options())


def test_the_same_traffic_twice_is_refused() -> None:
    twice = [*blocks([0.0] * 19), Block(traffic(99, digest="digest-3"), 0.0)]
    with pytest.raises(CalibrationError, match="week-99 is the same traffic as week-3"):
        record.calibrate(twice, 0.05, "key", Options())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"days": 3.0}, "it has 3 days, the blocks 7 at the median"),
        ({"exchanges": 45_001}, "it has 45,001 exchanges, the blocks 30,000"),
        ({"principals": 999}, "it has 999 principals, the blocks 1,500"),
        ({"columns_missing": ("asn", "ip")}, "it lacks asn"),
        ({"columns_missing": ()}, "it has ip, which every block lacks"),
        ({"digest": "digest-0"}, "it is one of the blocks itself"),
        ({"licences": "of somebody"}, "other licences are in force"),
        ({"releases": STATED}, "a release of a model is stated inside its time, and inside that of no block"),
        ({"mapped": True}, "it was read with a table of identities, and every block without one"),
    ],
)
def test_a_log_unlike_the_blocks_is_told_apart(change: dict[str, object], said: str) -> None:
    made = record.calibrate(blocks([0.0] * 19), 0.05, "key", Options())
    assert record.differences(made, traffic(50, exchanges=45_000, principals=1_000), "key") == []
    (difference,) = record.differences(made, traffic(50, **change), "key")
    assert said in difference
    assert record.differences(made, traffic(50), "other") == [
        "it was sketched with another key than the blocks"
    ]


def test_what_a_scan_is_told_must_have_been_told_of_some_block() -> None:
    some = [Block(traffic(99, licences="old", releases=STATED, mapped=True), 0.0), *blocks([0.0] * 18)]
    made = record.calibrate(some, 0.1, "key", Options())
    for change in ({"licences": "old"}, {"releases": STATED}, {"releases": NO_RELEASE}, {"mapped": True}):
        assert record.differences(made, traffic(50, **change), "key") == []
    stated = [Block(traffic(number, releases=STATED, mapped=None), 0.0) for number in range(19)]
    made = record.calibrate(stated, 0.1, "key", Options())
    # First uses of models count where nothing is stated, and they did in no block; of sketches nobody knows.
    assert record.differences(made, traffic(50, mapped=True), "key") == [
        "no release of its models is stated, and of those of every block one is"
    ]


def test_other_settings_and_versions_are_refused() -> None:
    made = record.calibrate(blocks([0.0] * 19), 0.05, "key", Options())
    record.check(made, Options())
    with pytest.raises(CalibrationError, match=r"setting unsupported_regions: none, and this scan has RU VN"):
        record.check(made, Options(unsupported_regions=frozenset({"VN", "RU"})))
    with pytest.raises(CalibrationError, match=r"setting bar\.prior: 0\.05, and this scan has 0\.01; give"):
        record.check(made, Options(bar=Bar(prior=0.01)))
    other = dataclasses.replace(made, versions=dict(made.versions) | {"evidence": "older"})
    with pytest.raises(CalibrationError, match="version of evidence: older"):
        record.check(other, Options())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: text[:100], "is no calibration"),
        (lambda text: text.replace('"alpha": 0.05', '"alpha": "five"'), "is no calibration.*alpha"),
        (lambda text: text.replace('"margin_bits": 0.0', '"margin_bits": -50.0'), "not what the scores"),
        (lambda text: text.replace('"file_version": 2', '"file_version": 9'), "of version 9, and 2 is read"),
        (
            lambda text: text.replace('"file_version": 2', '"file_version": 1').replace("licences", "more"),
            "of version 1, and 2 is read here; .* calibrate again",
        ),
        (lambda text: text.replace("file_version", "version"), "is no calibration"),
    ],
)
def test_a_spoilt_file_is_refused(spoil: Callable[[str], str], said: str, tmp_path: Path) -> None:
    path = tmp_path / "bar.json"
    record.write(record.calibrate(blocks([0.0] * 19), 0.05, "key", Options()), path)
    path.write_text(spoil(path.read_text()))
    with pytest.raises(CalibrationError, match=said):
        record.read(path)
    with pytest.raises(CalibrationError, match="No such file"):
        record.read(tmp_path / "none.json")


def case(bits: float) -> Case:
    return Case(bits, 0.6, bits, 15.0, 3.0, 0.9, False, (), 40, 40, 0.0, 0.0, 0.0, 40, 0.0, math.nan, 2)


def test_the_calibrated_margin_must_be_exceeded() -> None:
    bits = threshold(Bar()) + 3.0
    for excess, verdict in (
        (NOTHING, "extraction"),
        (-5.0, "extraction"),
        (2.9, "extraction"),
        (3.1, "undetermined"),
    ):
        ruling = rule(case(bits), Bar(excess=excess))
        assert ruling.verdict == verdict
    assert "3.0 bits beyond the threshold" in ruling.reasons[0]
    assert rule(case(threshold(Bar()) - 0.1), Bar(excess=-5.0)).verdict == "undetermined", "never a lower bar"


def spread(width: float, campaigns: int = 0) -> np.ndarray:
    rng = np.random.default_rng(3)
    return np.concatenate([rng.normal(-8, width, 400), rng.normal(25, 3, campaigns)])


def test_the_null_is_that_of_the_innocent_and_counts_the_others() -> None:
    for campaigns in (0, 40):
        bits = spread(6.0, campaigns)
        null = fit_null(bits, np.ones(len(bits), bool))
        assert null is not None
        assert null.mean == pytest.approx(-8, abs=1.5)
        assert null.deviation == pytest.approx(6, rel=0.25)
        assert null.contamination == pytest.approx(campaigns / len(bits), abs=0.05)
        # Campaigns move the middle a little, and to the side of caution.
        assert 0.6 < null.expected(0.0) / (400 * 0.0912) < (2.0 if campaigns else 1.4)
    assert fit_null(bits[:49], np.ones(49, bool)) is None
    assert fit_null(np.zeros(100), np.ones(100, bool)) is None


def judged(bits: float) -> Judged:
    ruling = Ruling(Verdict.EXTRACTION, 0.99, ("because",))
    return Judged(ruling, case(bits), np.arange(40, dtype=np.int32), np.full(40, 20), np.ones(40, bool))


def test_an_accusation_that_the_innocent_reach_by_chance_is_not_made() -> None:
    wide = fit_null(spread(14.0), np.ones(400, bool))
    narrow = fit_null(spread(6.0), np.ones(400, bool))
    weak, strong = judged(15.0), judged(60.0)
    held = restrain([weak, strong], Guarantee(None, (), wide, 0.0))
    assert [one.ruling.verdict for one in held] == ["undetermined", "extraction"]
    assert "the threshold is not safe here" in held[0].ruling.reasons[0]
    assert restrain([weak], Guarantee(None, (), narrow, 0.0)) == [weak]
    made = record.calibrate(blocks([0.0] * 19), 0.05, "key", Options())
    assert restrain([weak], Guarantee(made, (), wide, 0.0)) == [weak], "a bound needs no estimate"
    assert restrain([weak], Guarantee(made, ("it is longer",), wide, 0.0)) != [weak]


CLEAN = [Recipe(seed=40 + number, innocents=300, exchanges=6_000, days=7) for number in range(4)]
GUILTY = Recipe(
    seed=60, innocents=260, exchanges=4_500, days=7, operators=(Operator(accounts=40, camouflage=0.3),)
)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("calibration")
    for number, recipe in enumerate([*CLEAN, GUILTY]):
        simulate(recipe, folder / str(number))
    return [folder / str(number) / "exchanges.parquet" for number in range(5)]


def scored(
    logs: list[Path],
    days: float | None = None,
    options: Options | None = None,
    identities: Path | None = None,
) -> list[Block]:
    source = Source(tuple(logs), identities=identities)
    with RejectLog(None) as rejects:
        return score_blocks(logs, days, source, Keys(TEST_KEY), options or Options(), rejects)


def calibration(logs: list[Path], **more: object) -> Calibration:
    made = record.calibrate(scored(logs), 0.25, Keys(TEST_KEY).name, Options())
    return dataclasses.replace(made, **more)


def guarantee_of(result: Result) -> dict[str, object]:
    found: dict[str, object] = result.overview["guarantee"]
    return found


def test_a_scan_accuses_exactly_where_the_score_exceeds_the_margin(logs: list[Path], tmp_path: Path) -> None:
    (guilty,) = scored(logs[4:])
    assert guilty.score is not None
    assert guilty.score > 0
    assert all(block.score is None or block.score < 0 for block in scored(logs[:2]))
    made = calibration(logs[:4])
    for margin, accused in ((guilty.score - 0.01, True), (guilty.score, False)):
        options = Options(calibration=dataclasses.replace(made, margin_bits=margin))
        result = scan_files(logs[4:], tmp_path / str(accused), options)
        assert bool(extraction_campaigns(result)) is accused
        bits = threshold(Bar()) + margin
        odds = 2.0**bits * Bar().prior / (1 - Bar().prior)
        assert result.overview["threshold_probability"] == pytest.approx(odds / (1 + odds))


def test_a_calibrated_scan_states_alpha_and_how_it_was_got(logs: list[Path], tmp_path: Path) -> None:
    made = calibration(logs[:4])
    result = scan_files(logs[4:], tmp_path / "like", Options(calibration=made))
    stated = guarantee_of(result)
    assert (stated["alpha"], stated["method"]) == (0.25, "split_conformal")
    assert "at most 0.25, over calibrations on 4 blocks" in str(stated["statement"])
    assert "at most 0.25" in (tmp_path / "like" / "report.html").read_text("utf-8")
    assert extraction_campaigns(result)
    itself = guarantee_of(scan_files(logs[:1], tmp_path / "itself", Options(calibration=made)))
    assert itself["alpha"] is None
    assert "one of the blocks itself" in str(itself["statement"])
    other = scan_files(
        logs[4:], tmp_path / "key", Options(calibration=made), key=b"another key of some length"
    )
    assert guarantee_of(other)["alpha"] is None
    plain = guarantee_of(scan_files(logs[4:], tmp_path / "plain"))
    assert (plain["alpha"], plain["calibration"]) == (None, None)
    assert str(plain["statement"]).startswith("No error rate is guaranteed")


def test_a_scan_that_is_told_what_no_block_was_told_states_no_alpha(logs: list[Path], tmp_path: Path) -> None:
    made = calibration(logs[:4])
    table = pq.read_table(logs[4], columns=["account_id", "started_at", "model"])
    begin, model = pc.min(table["started_at"]).as_py(), table["model"][0].as_py()
    licence = Registry((Licence(None, frozenset({table["account_id"][0].as_py()}), (), None, None),))
    (tmp_path / "identities.csv").write_text("key,account_id\nnobody,somebody\n")
    told = {
        "licences": Options(registry=licence),
        "release": Options(releases={model: begin + dt.timedelta(days=3)}),
        "earlier": Options(releases={model: begin - dt.timedelta(days=3)}),
        "unknown": Options(releases={"another-model": begin + dt.timedelta(days=3)}),
    }
    stated = {
        name: guarantee_of(
            scan_files(logs[4:], tmp_path / name, dataclasses.replace(options, calibration=made))
        )
        for name, options in told.items()
    }
    mapped = scan(
        Source((logs[4],), identities=tmp_path / "identities.csv"),
        tmp_path / "mapped",
        Keys(TEST_KEY),
        Options(calibration=made),
    )
    stated["mapped"] = guarantee_of(mapped)
    assert {name for name, one in stated.items() if one["alpha"] is not None} == {"earlier", "unknown"}
    assert "other licences are in force than for any block" in str(stated["licences"]["statement"])
    assert "a release of a model is stated inside its time" in str(stated["release"]["statement"])
    assert "with a table of identities" in str(stated["mapped"]["statement"])


def test_a_block_says_what_it_was_scanned_with(logs: list[Path], tmp_path: Path) -> None:
    table = pq.read_table(logs[0], columns=["account_id", "started_at", "model"])
    account, model = table["account_id"][0].as_py(), table["model"][0].as_py()
    begin, end = (of(table["started_at"]).as_py() for of in (pc.min, pc.max))
    ended = Licence("org-1", frozenset(), (), end.date() - dt.timedelta(days=1), None)
    registry = Registry((Licence(None, frozenset({account}), ("evaluation",), None, None), ended))
    options = Options(registry=registry, releases={model: begin + dt.timedelta(days=1)})
    (tmp_path / "identities.csv").write_text("key,account_id\nnobody,somebody\n")
    (block,) = scored(logs[:1], options=options, identities=tmp_path / "identities.csv")
    assert block.traffic.licences == Registry(
        (Licence(None, frozenset({account}), (), end.date(), "x"),)
    ).in_force(end.date())
    assert block.traffic.licences not in ("", registry.in_force(begin.date()))
    assert (block.traffic.releases, block.traffic.mapped) == (STATED, True)


def test_days_cut_a_log_into_blocks_of_its_own_traffic(logs: list[Path]) -> None:
    whole, cut = scored(logs[:1])[0], scored(logs[:1], days=7 / 3)
    assert len(cut) == 3
    assert sum(block.traffic.exchanges for block in cut) == whole.traffic.exchanges
    assert all(block.traffic.days <= 7 / 3 for block in cut)
    assert all(block.traffic.principals < whole.traffic.principals for block in cut)
    with pytest.raises(CalibrationError, match=r"is 7\.0 days long and holds no block of 30 days"):
        scored(logs[:1], days=30)
    with pytest.raises(CalibrationError, match=r"hold the same file exchanges\.parquet"):
        scored([logs[0], logs[0]])


@pytest.mark.slow
def test_the_commands_from_clean_logs_to_a_calibrated_scan(logs: list[Path], tmp_path: Path) -> None:
    bar, key = tmp_path / "bar.json", tmp_path / "key"
    key.write_bytes(TEST_KEY)
    said = fails("calibrate", *logs[:4], "--out", bar, "--key", key, folder=tmp_path)
    assert "4 blocks do not support an alpha of 0.05; the smallest that they support is 0.2 (1/5)" in said
    assert not bar.exists()
    done = run("calibrate", *logs[:4], "--out", bar, "--key", key, "--alpha", "0.2", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4 blocks of clean traffic, alpha 0.2" in done.stdout
    scan = ("scan", logs[4], "--out", tmp_path / "result", "--key", key, "--calibration", bar)
    done = run(*scan, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    assert "is at most 0.2, over" in " ".join(done.stdout.split())
    assert json.loads((tmp_path / "result" / "overview.json").read_text())["guarantee"]["alpha"] == 0.2
    assert "setting bar.prior" in fails(*scan, "--prior", "0.01", folder=tmp_path)
    short = tmp_path / "short"
    simulate(dataclasses.replace(CLEAN[0], seed=99, days=2), short)
    done = run("scan", short / "exchanges.parquet", *scan[2:], folder=tmp_path)
    assert done.returncode == 0
    assert "warning: No error rate is guaranteed: the log is not like the clean traffic" in done.stderr

"""The price of a campaign: read from the measured curves, honest about what they do not hold, and without torch."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from stillwatch import lab
from stillwatch.cli import app
from stillwatch.lab import value as valuing
from stillwatch.lab.measures import bootstrap_by_seed
from stillwatch.lab.value import (
    LEAKED,
    NEAREST,
    Transcript,
    ValuationError,
    measured_curves,
    read_transcript,
    value,
)
from stillwatch.objective.classes import OBJECTIVES
from stillwatch.outputs import MATCHES

CURVES = {
    "answers": {"what": "answers", "exchanges": [100, 1000], "shares": [[0.0, 0.2], [0.8, 1.0]]},
    "elicited": {"what": "elicited", "exchanges": [100, 1000], "shares": [[0.1, 0.1], [0.5, 0.7]]},
    "graded": {"what": "graded", "exchanges": [100, 1000], "shares": [[0.0, 0.0], [0.2, 0.2]]},
    "tools": {"what": "tools", "exchanges": [100, 1000], "shares": [[0.4, 0.4], [1.0, 1.0]]},
}


@pytest.fixture
def planted(monkeypatch):
    monkeypatch.setattr(valuing, "measured_curves", lambda: CURVES)


def got(exchanges, distinct=None, **objectives):
    return Transcript("c-1", exchanges, 1, distinct, objectives or {"maths_drill": 1.0})


def result(folder, matched=300, coverage=0.9, listed=300):
    campaign = {
        "campaign_id": "c-1",
        "scale": {"exchanges": listed},
        "intent": {"coverage": coverage, "objectives": [{"name": "elicited_reasoning", "share": 0.8}]},
    }
    (folder / "campaigns.json").write_text(json.dumps([campaign]))
    families = ["f-1"] * (matched * 2 // 3) + ["f-2"] * (matched - matched * 2 // 3 - 3) + ["f-3"] * 3
    rows = [
        {"exchange_id": str(place), "family_id": family, "campaign_id": "c-1"}
        for place, family in enumerate(families[:matched])
    ]
    rows.append({"exchange_id": "x", "family_id": "f-9", "campaign_id": "c-2"})
    pq.write_table(pa.Table.from_pylist(rows, schema=MATCHES), folder / "matches.parquet")
    return folder


def test_every_objective_of_a_scan_has_a_curve_and_those_that_are_shipped_are_whole():
    assert set(NEAREST) == set(OBJECTIVES)
    assert {"answers", "refusals"} <= set(measured_curves()) <= {curve for curve, _ in NEAREST.values()}
    for curve in measured_curves().values():
        assert len(curve["exchanges"]) == len(curve["shares"])
        assert all(len(seeds) >= 9 for seeds in curve["shares"])


@pytest.mark.usefixtures("planted")
def test_a_price_is_the_mean_of_the_seeds_between_two_points_of_the_curve():
    found = value(got(1000))
    assert [price.leaked for price in found.prices] == list(LEAKED)
    assert [price.exchanges for price in found.prices] == [10, 50, 100, 250, 500, 1000]
    for price in found.prices:
        if price.exchanges <= 100:
            seeds = np.array([0.0, 0.2]) * price.exchanges / 100
        else:
            part = np.log10(price.exchanges / 100)
            seeds = np.array([0.8 * part, 0.2 + 0.8 * part])
        assert price.share.value == pytest.approx(seeds.mean())
        assert (price.least, price.most) == pytest.approx((seeds.min(), seeds.max()))
        expected = bootstrap_by_seed(seeds, lambda values: float(values.mean()))
        assert (price.share.low, price.share.high) == pytest.approx((expected.low, expected.high))
    assert [price.beyond for price in found.prices] == ["below", "below", "", "", "", ""]


@pytest.mark.usefixtures("planted")
def test_repeats_are_not_counted_and_objectives_are_weighed():
    assert value(got(1000, distinct=0.5)).prices[-1].exchanges == 500
    mixed = value(got(1000, elicited_reasoning=0.3, agentic_trajectory=0.1)).prices[-1]
    assert mixed.share.value == pytest.approx(0.75 * 0.6 + 0.25 * 1.0)


@pytest.mark.usefixtures("planted")
def test_what_is_extrapolated_is_said():
    def said(transcript, half=None):
        return " ".join(value(transcript, half).caveats)

    plain = said(got(1000))
    assert "is an extrapolation" in plain
    assert "One exchange of the log counts as one of the lab" in plain
    assert "No curve was measured" not in plain
    assert "How many exchanges are repeats could not be measured" in plain
    assert "held flat" in said(got(5000))
    assert "straight line from nothing" in plain
    assert "No curve was measured for style imitation" in said(got(1000, style_imitation=1.0))
    assert "No curve was measured for refusal probing" in said(got(1000, refusal_probing=1.0))  # not in these
    assert "named no objective" in said(Transcript("c-1", 1000, 1, 1.0, {}))
    assert value(got(5000)).prices[-1].share.value == value(got(1000)).prices[-1].share.value
    assert value(got(5000)).prices[-1].beyond == "above"


@pytest.mark.usefixtures("planted")
def test_curves_are_stretched_to_the_half_that_was_measured_elsewhere():
    lab_half = value(got(1000)).half["answers"]
    stretched = value(got(20_000), half=20_000)
    assert stretched.prices[-1].share.value == pytest.approx(0.5)
    assert value(got(round(lab_half))).prices[-1].share.value == pytest.approx(0.5, abs=0.001)
    assert "stretched so that 20,000 exchanges" in " ".join(stretched.caveats)


def test_a_campaign_is_read_from_the_matches_of_a_result(tmp_path):
    found = read_transcript(result(tmp_path), "c-1")
    assert (found.exchanges, found.wordings, found.distinct) == (300, 2, 0.9)
    assert found.counted == 270
    assert found.objectives == {"elicited_reasoning": 0.8}


def test_a_campaign_that_is_only_suspected_has_its_count_from_its_dossier(tmp_path):
    found = read_transcript(result(tmp_path, matched=0, listed=77), "c-1")
    assert (found.exchanges, found.wordings) == (77, 1)


def test_what_is_no_result_or_no_campaign_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(
        ValuationError, match=r"has no campaigns.json; give the folder that stillwatch scan wrote"
    ):
        read_transcript(tmp_path, "c-1")
    with pytest.raises(ValuationError, match=r"no campaign 'c-5' in .*; it has c-1"):
        read_transcript(result(tmp_path), "c-5")


def test_the_command_prints_the_price_and_the_stops_without_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(lab, "find_spec", lambda name: None)
    folder = str(result(tmp_path))
    shown = CliRunner().invoke(app, ["lab", "value", folder, "c-1"])
    assert shown.exit_code == 0, shown.output
    text = " ".join(shown.output.split())
    assert (
        "c-1 got 300 matched exchanges in 2 wordings, of which 30 may be repeats and are not counted" in text
    )
    assert "Curves read: " in text
    for leaked in ("1%", "5%", "10%", "25%", "50%", "100%"):
        assert leaked in text
    assert "is an extrapolation" in text
    record = json.loads(CliRunner().invoke(app, ["lab", "value", folder, "c-1", "--json"]).output)
    assert record["counted"] == 270
    assert len(record["prices"]) == len(LEAKED)


def test_a_price_needs_no_torch():
    code = (
        "import sys; import stillwatch.lab.value, stillwatch.lab.value_text as text\n"
        "from stillwatch.lab.value import Transcript, value\n"
        "text.as_text(value(Transcript('c-1', 100, 1, None, {})))\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"

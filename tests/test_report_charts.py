"""The charts: well-formed pictures that show every exchange, every bit and every principal."""

from __future__ import annotations

import re
from datetime import date, timedelta
from xml.etree import ElementTree

import numpy as np
import pytest

from stillwatch.evidence import posterior
from stillwatch.report import charts, wording
from stillwatch.report.charts import curves, principal_days, svg, timeline, waterfall
from tests.test_report_examples import PRIOR, campaigns, evidence, iso

SVG = "{http://www.w3.org/2000/svg}"


CURVES = {
    "title": "Skill of the student",
    "across": "exchanges",
    "up": "right answers",
    "points": [100, 400, 1600],
    "series": [
        {"name": "text", "seeds": [[0.1, 0.2, 0.0], [0.4, 0.6, 0.5], [0.9, 1.0, 0.8]]},
        {"name": "a name as long as a legend can be & more", "seeds": [[0.1], [0.7], [0.9]]},
    ],
    "lines": [{"name": "teacher", "value": 0.95}],
}


FRONTIER = {
    "title": "What it costs",
    "across": "right answers that an honest user loses",
    "up": "right answers that the student loses",
    "above": "above the line: costs the student more",
    "series": [
        {
            "name": "a raised temperature",
            "at": [[0.1, 0.1], [0.3, 0.5]],
            "seeds": [[0.0, 0.1], [0.4, 0.2]],
            "joined": True,
        },
        {"name": "log-probabilities rounded or capped", "at": [[0.0, 0.0]], "seeds": [[-0.1, 0.7]]},
    ],
}


def drawings(width: float) -> dict[str, str]:
    first = campaigns()[0]
    return {
        "timeline": charts.draw_timeline("t", first["timeline"], width),
        "principal days": charts.draw_principal_days("p", first["principals"], width),
        "waterfall": charts.draw_waterfall("w", first, 0.99, width),
        "curves": charts.draw_curves("c", CURVES, width),
        "frontier": charts.draw_frontier("f", FRONTIER, width),
        "certainty": charts.draw_certainty("s", first["posterior"], first, 0.99),
    }


@pytest.mark.parametrize("width", [330, 720])
def test_each_picture_is_well_formed_inside_its_frame_and_told_in_words(width):
    for name, picture in drawings(width).items():
        root = ElementTree.fromstring(picture)
        assert root.get("role") == "img"
        told = {root.find(f"{SVG}title"), root.find(f"{SVG}desc")}
        assert {element.get("id") for element in told} == set(root.get("aria-labelledby").split())
        assert all(element.text for element in told)
        for element in root.iter(f"{SVG}rect"):
            right = float(element.get("x")) + float(element.get("width"))
            assert float(element.get("x")) >= 0, name
            assert right <= float(root.get("width")) + 0.2, name
        for element in root.iter(f"{SVG}text"):
            half = svg.text_width(element.text, float(element.get("font-size", 12)))
            reach = {"end": 0, "middle": half / 2}.get(element.get("text-anchor"), half)
            assert float(element.get("x")) + reach <= float(root.get("width")) + 14, (name, element.text)


@pytest.mark.parametrize("hostile", ["</title><script>alert(1)</script>", 'a"b', "x\x00\x1b[2J", "\u202eabc"])
def test_text_of_the_log_cannot_leave_its_element(hostile):
    first = campaigns()[0]
    data = first["timeline"] | {
        "series": [{"name": hostile, "counts": [1, 2, 3]}],
        "releases": [{"model": hostile, "at": iso(1)}],
    }
    root = ElementTree.fromstring(charts.draw_timeline("t", data))
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg", "title", "desc", "path", "rect", "line", "text", "g", "circle",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("step", "length", "width"), [(3600, 1, 330), (3600, 700, 330), (60, 90000, 720), (7, 999, 720)]
)
def test_joined_steps_keep_every_exchange(step, length, width):
    counts = np.random.default_rng(length).integers(0, 9, (8, length)).tolist()
    data = {
        "step_seconds": step,
        "start": iso(5),
        "series": [{"name": f"family f-{place}", "counts": values} for place, values in enumerate(counts)],
        "releases": [],
    }
    root = ElementTree.fromstring(charts.draw_timeline("t", data, width))
    told = root.find(f"{SVG}desc").text
    assert sum(int(found.replace(",", "")) for found in re.findall(r": ([\d,]+) exchanges", told)) == sum(
        map(sum, counts)
    )
    assert "other (2)" in told
    seconds, joined = timeline._join(step, length, width)
    assert seconds == step * joined
    assert length / joined <= width / timeline.PIXELS_A_BIN + 1


def test_an_area_reaches_as_high_as_its_count():
    data = {
        "step_seconds": 3600,
        "start": iso(0),
        "series": [{"name": "none", "counts": [10, 5]}, {"name": "a", "counts": [0, 5]}],
        "releases": [],
    }
    root = ElementTree.fromstring(charts.draw_timeline("t", data))
    (axis, *_), (_, outline, *_) = (
        [line for line in root.iter(f"{SVG}line") if line.get("class") == "s-axis"],
        [None, *(path.get("d") for path in root.iter(f"{SVG}path"))],
    )
    bottom = float(axis.get("y1"))
    levels = [float(level) for level in re.findall(r"V([\d.]+)", outline)]
    assert min(levels) == pytest.approx(bottom - timeline.PLOT_HEIGHT)
    assert levels[1] == pytest.approx(bottom - timeline.PLOT_HEIGHT / 2)


def test_where_every_text_starts_comes_first_and_speaks_neither_for_nor_against():
    first = campaigns()[0]
    begun = evidence(wording.START, -6.1, 0.0, 0, "where every shared text starts", "")
    bars = waterfall.steps(first | {"evidence": [*first["evidence"], begun]})
    assert [bar.label for bar in bars[:2]] == ["prior", "any shared text"]
    assert bars[1].paint == "muted"
    assert {bar.paint for bar in bars[2:-1]} <= {"for", "against"}


@pytest.mark.parametrize("width", [330, 720])
def test_every_figure_of_the_waterfall_lies_inside_the_picture(width):
    """Also where nothing speaks against, so that the longest figure stands beside the last bar."""
    told = [evidence("routine", 20.0, 0.0, 9, "a reason", ""), evidence(wording.START, -6.0, 0.0, 0, "", "")]
    sure = {"prior": 0.01, "probability": 0.99999, "evidence": told, "evidence_bits": 14.0}
    drawn = waterfall.draw_waterfall("w", sure, 0.95, width)
    for text in ElementTree.fromstring(drawn).iter(f"{SVG}text"):
        begin = float(text.get("x", "0"))
        if text.get("text-anchor") is None:
            assert begin + svg.text_width(text.text or "") <= width, text.text


def test_the_waterfall_ends_at_the_posterior_and_shows_what_does_not_add_up():
    first = campaigns()[0]
    plain = waterfall.steps(first)
    assert [bar.label for bar in plain][0 :: len(plain) - 1] == ["prior", "posterior"]
    assert plain[-1].end - plain[0].start == pytest.approx(first["evidence_bits"])
    assert waterfall.REMAINDER not in {bar.label for bar in plain}
    shrunk = waterfall.steps(first | {"evidence_bits": first["evidence_bits"] - 3})
    assert [(bar.label, bar.paint) for bar in shrunk][-2] == (waterfall.REMAINDER, "against")
    assert shrunk[-1].end == pytest.approx(plain[-1].end - 3)
    assert {bar.paint for bar in plain if bar.figure.startswith("+")} == {"for"}


def certainty_dots(own_prior: float) -> tuple[list[float], list[float]]:
    """Places of the hollow dots and of the full ones, in the order of drawing."""
    campaign = campaigns()[0]
    own = {"prior": own_prior, "probability": posterior(campaign["evidence_bits"], own_prior)}
    root = ElementTree.fromstring(charts.draw_certainty("s", campaign["posterior"], own, 0.99))
    dots = [dot for dot in root.iter(f"{SVG}circle") if "f-paper" not in (dot.get("class") or "")]
    assert dots[-1].get("fill") != "none", "the dot of the scan lies on top"
    hollow = [float(dot.get("cx")) for dot in dots if dot.get("fill") == "none"]
    return hollow, [float(dot.get("cx")) for dot in dots if dot.get("fill") != "none"]


def test_the_certainty_strip_puts_a_higher_probability_further_right():
    hollow, (full,) = certainty_dots(PRIOR)
    low, high = hollow
    assert low < full < high


def test_the_certainty_strip_shows_a_prior_that_is_none_of_the_usual():
    hollow, (full,) = certainty_dots(3e-4)
    assert len(hollow) == 3
    assert hollow == sorted(hollow)
    assert hollow[0] < full < hollow[1]


@pytest.mark.parametrize("most_cells", [1, 4, 100])
def test_principals_by_day_agree_with_a_naive_count(most_cells):
    rows = campaigns()[1]["principals"]
    cells = principal_days.day_counts(rows, most_cells)
    assert len(cells) <= most_cells
    assert sum(cell.appeared for cell in cells) == sum(cell.last_seen for cell in cells) == len(rows)
    ends = [*(cell.first_day for cell in cells[1:]), date(2027, 1, 1)]
    for cell, end in zip(cells, ends, strict=True):
        days = {cell.first_day + timedelta(days=place) for place in range((end - cell.first_day).days)}
        naive = sum(
            any(row["first_seen"][:10] <= day.isoformat() <= row["last_seen"][:10] for day in days)
            for row in rows
        )
        assert cell.in_service == naive


def test_cells_of_several_days_say_so():
    rows = campaigns()[1]["principals"]
    assert "each cell is 2 days" in charts.draw_principal_days("p", rows, 330)
    assert "each cell" not in charts.draw_principal_days("p", rows, 720)


def test_empty_data_still_makes_a_picture():
    empty = {"step_seconds": 3600, "start": iso(0), "series": [], "releases": []}
    for picture in (charts.draw_timeline("t", empty), charts.draw_principal_days("p", [])):
        assert ElementTree.fromstring(picture).find(f"{SVG}desc").text


def test_curves_plot_every_seed_and_the_mean_at_its_height():
    root = ElementTree.fromstring(charts.draw_curves("c", CURVES))
    circles = list(root.iter(f"{SVG}circle"))
    assert sum(circle.get("fill") == "none" for circle in circles) == 12
    heights = [float(line.get("points").split()[1].split(",")[1]) for line in root.iter(f"{SVG}polyline")]
    assert heights[0] - heights[1] == pytest.approx(0.2 * curves.PLOT_HEIGHT, abs=0.2)
    assert "text: 100: 10%, 400: 50%, 1600: 90%" in root.find(f"{SVG}desc").text


def test_curves_beyond_nothing_and_the_whole_stay_in_the_frame():
    strays = {**CURVES, "series": [{"name": "text", "seeds": [[-0.6, 0.1], [0.4, 0.6], [-8e9, 1.4]]}]}
    root = ElementTree.fromstring(charts.draw_curves("c", strays))
    heights = [float(circle.get("cy")) for circle in root.iter(f"{SVG}circle")]
    assert 0 < min(heights) < max(heights) < float(root.get("height"))
    assert {"-100%", "150%"} <= {text.text for text in root.iter(f"{SVG}text")}


def test_curves_of_named_conditions_are_not_joined():
    named = {**CURVES, "points": ["plain", "prefix", "unseen"]}
    assert "<polyline" not in charts.draw_curves("c", named)


def test_what_costs_the_same_stands_side_by_side_on_the_frontier():
    alike = {"name": "hidden", "at": [[0.0, 0.0]], "seeds": [[0.1, 0.1]]}
    crowd = {**FRONTIER, "series": [FRONTIER["series"][0], alike, {**alike, "name": "summarised"}]}
    root = ElementTree.fromstring(charts.draw_frontier("f", crowd))
    line = next(iter(root.iter(f"{SVG}polyline")))
    origin = float(line.get("points").split()[0].split(",")[0])
    places = {float(circle.get("cx")) for circle in root.iter(f"{SVG}circle")}
    assert {round(place - origin, 1) for place in places} >= {-7.5, 7.5}


def test_a_frontier_plots_every_seed_in_both_losses_and_joins_the_price_list_from_nothing():
    drawn = charts.draw_experiment("f", FRONTIER)
    assert drawn == charts.draw_frontier("f", FRONTIER)
    assert charts.draw_experiment("c", CURVES) == charts.draw_curves("c", CURVES)
    root = ElementTree.fromstring(drawn)
    seeds = [circle for circle in root.iter(f"{SVG}circle") if circle.get("fill") == "none"]
    assert len(seeds) == 6
    (line,) = root.iter(f"{SVG}polyline")
    points = [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]
    assert len(points) == 3
    # Equal losses lie on one straight line through the origin: 0.1 and 0.05, then 0.4 and 0.3.
    (x0, y0), (x1, y1), (x2, y2) = points
    assert (x2 - x0) / (x1 - x0) == pytest.approx(4, abs=0.05)
    assert (y0 - y2) / (y0 - y1) == pytest.approx(6, abs=0.1)
    heights = sorted(float(circle.get("cy")) for circle in seeds)
    assert heights[-1] - heights[0] == pytest.approx((y0 - y1) / 0.05 * 0.8, rel=0.02)
    assert "a raised temperature: 10% and 5%, 40% and 30%" in root.find(f"{SVG}desc").text


def test_replaced_accounts_are_marked_and_told():
    data = campaigns()[0]["timeline"]
    marked, plain = (charts.draw_timeline("t", given) for given in (data, data | {"replaced": []}))
    assert marked.count("<line") == plain.count("<line") + 2
    assert (
        "2 principals began within six hours of another's end"
        in ElementTree.fromstring(marked).find(f"{SVG}desc").text
    )

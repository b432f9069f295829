"""What joins a campaign, in a sentence or two."""

from __future__ import annotations

from stillwatch.report.joined import joined
from tests.test_report_examples import campaigns

CASE = campaigns()[0]


def test_the_strongest_link_and_what_is_shared_are_said() -> None:
    reason = (
        "any two of its accounts pay by the same means 130.0 times as often as two of the log (150 accounts)"
    )
    paid = {"signal": "infrastructure_payment", "value": 7.0, "n": 150, "bits": 5.4, "reason": reason}
    said = joined({**CASE, "evidence": [*CASE["evidence"], paid]})
    strongest = max(CASE["links"], key=lambda link: link["bits"])
    assert strongest["reason"] in said["companions"]
    assert said["infrastructure"] == "A" + reason[1:] + "."


def test_without_companions_or_infrastructure_that_is_said() -> None:
    bare = {**CASE, "families": CASE["families"][:1], "links": [], "evidence": []}
    assert joined(bare) == {
        "companions": "One template alone.",
        "infrastructure": "Neither payments nor networks could be compared.",
    }
    several = {**CASE, "links": []}
    assert joined(several)["companions"].endswith("found in the same exchanges.")

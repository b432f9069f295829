"""The page: valid, self-contained, small, and honest about what it cut."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from justhtml import JustHTML

from stillwatch.report.page import FULL, LEAN, Limits, render
from tests.test_report_examples import campaign, campaigns, evidence, overview

VOID = {"meta", "link", "br", "hr", "img", "input", "col"}


class Strict(HTMLParser):
    """Collects ids, references and text, and refuses what is not balanced."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.links: list[str] = []
        self.headings: list[int] = []
        self.text: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        held = dict(attrs)
        assert not any(name.startswith("on") or name == "style" for name in names)
        self.ids += [held["id"]] if "id" in held else []
        self.references += held.get("aria-labelledby", "").split()
        for name in ("src", "href", "action", "data", "poster", "srcset", "xlink:href"):
            self.links += [held[name]] if name in held else []
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open[-1:] == [tag], (tag, self.open, self.getpos())
        self.open.pop()

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def clean_scan():
    return overview() | {"innocent": [], "accounts_by_verdict": {"none": 3600}}


@pytest.mark.parametrize(
    "page",
    [render(overview(), campaigns()), render(clean_scan(), []), render(overview(), campaigns()[2:])],
    ids=["found", "nothing", "undetermined"],
)
def test_the_page_is_balanced_and_asks_nothing_of_the_network(page):
    parsed = Strict(page)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert set(parsed.references) <= set(parsed.ids)
    for link in parsed.links:
        assert link in {"campaigns.json", "overview.json"} or link.removeprefix("#") in parsed.ids
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(", page)
    assert not parsed.tags & {"img", "iframe", "link", "object", "form", "base"}
    assert parsed.headings[0] == 1
    assert parsed.headings.count(1) == 1
    assert all(
        after - before <= 1 for before, after in zip(parsed.headings, parsed.headings[1:], strict=False)
    )


@pytest.mark.parametrize(
    "page", [render(overview(), campaigns()), render(clean_scan(), [])], ids=["found", "nothing"]
)
def test_the_page_is_valid_html(page):
    """By the parser of the HTML standard, which names every error."""
    assert JustHTML(page, collect_errors=True).errors == []
    assert JustHTML(page.replace("</main>", "</span>"), collect_errors=True).errors != []


def test_the_policy_allows_exactly_this_style_and_script():
    page = render(overview(), campaigns())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1)
    assert "default-src &#39;none&#39;" in policy
    for tag in ("style", "script"):
        held = re.search(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL).group(1)
        digest = base64.b64encode(hashlib.sha256(held.encode()).digest()).decode()
        assert f"{tag}-src &#39;sha256-{digest}&#39;" in policy


def test_the_first_screen_says_what_was_found_how_sure_and_what_speaks_against():
    words = Strict(render(overview(), campaigns())).words
    first_screen = words[: words.index("Campaigns by verdict and size")]
    assert "Two extraction campaigns found" in first_screen
    assert "62,412 exchanges (31.8% of the log) through 480 accounts" in first_screen
    assert "99.2% to 99.9%" in first_screen
    assert "would stand at 55% and not be accused" in first_screen
    assert campaigns()[0]["counter_evidence"][0] in first_screen
    assert "f-3b70aa91 (shared client), has +6.2 bits" in first_screen


def test_every_reason_counter_reason_and_silence_is_on_the_page():
    words = Strict(render(overview(), campaigns())).words
    for item in campaigns():
        lines = item["reasons"] + item["counter_evidence"] + item["would_change"]
        lines += [part["reason"] for part in item["evidence"] + item["links"]]
        lines += [part["why"] for part in item["silent"]]
        lines += [item[part]["reason"] for part in ("consent", "scale", "intent")]
        assert [line for line in lines if line not in words] == []
    assert "212 cut" in words
    assert "payment_fingerprint" in words


def test_a_scan_that_found_nothing_claims_no_innocence():
    words = Strict(render(clean_scan(), [])).words
    assert "No extraction campaigns found" in words
    assert "does not prove that nothing is there" in words
    assert "The log lacks payment_fingerprint, ip, country, tls_fingerprint" in words


def test_the_same_result_gives_the_same_bytes_in_any_order_of_campaigns():
    assert render(overview(), campaigns()) == render(overview(), campaigns()[::-1])


def test_text_of_the_log_is_shown_and_never_obeyed():
    hostile = "<script>alert(1)</script>\u202e\x1b[31m&\"'"
    case = campaigns()[0]
    case |= {"campaign_id": hostile, "reasons": [hostile], "counter_evidence": [hostile]}
    case["principals"][0]["account_id"] = hostile
    case["exemplars"][0]["spans"][0]["text"] = hostile
    case["timeline"]["series"][0]["name"] = hostile
    page = render(overview(), [case])
    parsed = Strict(page)
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert "<script>alert(1)</script>\\u202e\\u001b[31m&\"'" in parsed.words


def heavy(place: int) -> dict:
    """A campaign with every list as long as a scan may make it."""
    items = [
        evidence(f"signal_{n}", 1.5, 0.2, 999, "A reason of some length. " * 4, "0% to 12%")
        for n in range(11)
    ]
    case = campaign(f"c-{place:08x}", "extraction", items, 412, 50112, 60)
    return case | {
        "families": [
            family | {"family_id": f"f-{n:08x}"} for n in range(40) for family in case["families"][:1]
        ],
        "links": case["links"] * 60,
        "exemplars": case["exemplars"] * 8,
        "closest_innocent": case["closest_innocent"] * 4,
    }


def test_fifty_large_campaigns_stay_under_two_megabytes_and_cuts_are_counted():
    page = render(overview(), [heavy(place) for place in range(53)])
    assert len(page.encode()) < 2_000_000
    words = Strict(page).words
    assert "3 more are in campaigns.json" in words
    assert f"{412 - LEAN.principals} more are in accounts.parquet" in words
    assert f"{40 - LEAN.families} more are in families.parquet" in words
    assert f"{60 - LEAN.links} more are in campaigns.json" in words


def test_few_campaigns_get_the_longer_lists_and_limits_are_parameters():
    assert (
        f"{412 - FULL.principals} more are in accounts.parquet"
        in Strict(render(overview(), [heavy(1)])).words
    )
    page = render(overview(), [heavy(1)], Limits(principals=3))
    assert "409 more are in accounts.parquet" in Strict(page).words


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_reaches_the_contrast_of_wcag_in_light_and_dark():
    style = re.search("<style>(.*?)</style>", render(overview(), []), re.DOTALL).group(1)
    light, dark = (dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in style.split("@media", 2)[:2])
    assert set(light) == set(dark)
    for palette in (light, dark):
        for name in ("ink", "muted", "for", "against", "link", "accuse"):
            assert contrast(palette[name], palette["paper"]) >= 4.5, name
        assert contrast(palette["muted"], palette["raised"]) >= 4.5
        assert contrast(palette["ink"], palette["mark"]) >= 4.5
        for name in ("s0", "s1", "s2", "s3", "s4", "s5", "s6", "axis", "heat", "total"):
            assert contrast(palette[name], palette["paper"]) >= 3, name
        assert contrast(palette["onheat"], palette["heat"]) >= 4.5

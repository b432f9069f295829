"""One self-contained HTML page of a scan: no external request, readable without scripts, printable."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from stillwatch.report import charts, wording
from stillwatch.report.headline import headline, in_order, objectives, strongest_against
from stillwatch.report.joined import joined

WIDE, NARROW = 720, 330  # pixels of a chart on a desk and on a phone
POSTERIOR_WIDTH = 230
DEFAULT_PAINT = re.compile(r' (?:fill|stroke)="#[0-9a-f]{6}"| xmlns="[^"]*"')


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of each list the page prints; what is cut is counted on the page."""

    campaigns: int = 50
    """Campaigns, extraction first, then the larger."""
    principals: int = 60
    """Principals a campaign, those with the most extraction exchanges first."""
    families: int = 20
    """Families a campaign."""
    links: int = 12
    """Links between families a campaign."""
    exemplars: int = 4
    """Example exchanges a campaign."""
    innocent: int = 5
    """Innocent families that came closest, for the log and for each campaign."""


FULL = Limits()
# Many campaigns share the page's two megabytes.
LEAN = Limits(principals=8, families=5, links=3, exemplars=1, innocent=1)
LEAN_FROM = 12  # campaigns


def render(
    overview: Mapping[str, Any], campaigns: Sequence[Mapping[str, Any]], limits: Limits | None = None
) -> str:
    """Lay the result of a scan out as one HTML document; the same result gives the same text."""
    bounds = limits or (LEAN if len(campaigns) > LEAN_FROM else FULL)
    ordered = in_order(campaigns)
    shown = ordered[: bounds.campaigns]
    style, script = _resource("page.css"), _resource("page.js")
    return (
        environment("stillwatch.report")
        .get_template("page.html")
        .render(
            overview=overview,
            headline=headline(overview, ordered),
            campaigns=[with_pictures(campaign, place, overview) for place, campaign in enumerate(shown, 1)],
            campaigns_cut=len(ordered) - len(shown),
            limits=bounds,
            style=Markup(style),  # noqa: S704 (a file of this package)
            script=Markup(script),  # noqa: S704 (a file of this package)
            policy=_policy(style, script),
        )
    )


def with_pictures(campaign: Mapping[str, Any], place: int, overview: Mapping[str, Any]) -> dict[str, Any]:
    """The campaign, its anchor and its charts; the anchor counts, since an id may hold any character."""
    threshold = wording.threshold_of(campaign, overview)
    ranked = sorted(campaign["evidence"], key=lambda item: (-item["bits"], item["signal"]))
    principals = sorted(
        campaign["principals"],
        key=lambda item: (-item["extraction_exchanges"], item["account_id"], item["end_user_id"] or ""),
    )
    pictures = {
        "waterfall": both_widths(
            f"w{place}", lambda name, width: charts.draw_waterfall(name, campaign, threshold, width)
        ),
        "timeline": both_widths(
            f"t{place}", lambda name, width: charts.draw_timeline(name, campaign["timeline"], width)
        ),
        "principal_days": both_widths(
            f"p{place}", lambda name, width: charts.draw_principal_days(name, principals, width)
        ),
        "certainty": _drawn(
            charts.draw_certainty(f"s{place}", campaign["posterior"], campaign, threshold, POSTERIOR_WIDTH)
        ),
    }
    return {
        **campaign,
        "anchor": f"campaign-{place}",
        "place": place,
        "evidence": ranked,
        "principals": principals,
        "pictures": pictures,
        "against": strongest_against(campaign),
        "asks_for": objectives(campaign),
        "joined": joined(campaign),
    }


def both_widths(name: str, draw: Callable[[str, float], str]) -> Markup:
    """The picture at two widths, of which the style sheet shows the one that fits."""
    wide, narrow = draw(f"{name}w", WIDE), draw(f"{name}n", NARROW)
    return _drawn(f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>')


def _drawn(picture: str) -> Markup:
    """The picture without its own colours, which would only add to the page: the style sheet paints it."""
    return Markup(DEFAULT_PAINT.sub("", picture))  # noqa: S704 (the charts escape what they draw)


def _policy(style: str, script: str) -> str:
    """A content security policy that allows this page's own style and script, and no request at all."""
    sources = {
        kind: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for kind, text in (("style", style), ("script", script))
    }
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"style-src 'sha256-{sources['style']}'; script-src 'sha256-{sources['script']}'"
    )


def _resource(name: str) -> str:
    return (files("stillwatch.report") / "templates" / name).read_text(encoding="utf-8")


def style_sheet() -> str:
    """The style of the page, for pages that show the same pictures."""
    return _resource("page.css")


@cache
def environment(*packages: str) -> Environment:
    """What fills in the templates of packages, the first first: everything is escaped, nothing may be missing."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    for name in (
        "count",
        "quantity",
        "percent",
        "share",
        "one_in",
        "signed_bits",
        "figure",
        "day",
        "moment",
        "objective_name",
        "spoken",
    ):
        made.filters[name] = getattr(wording, name)
    made.globals["period"] = wording.period
    made.globals["principal_name"] = wording.principal_name
    return made


def _visible(value: Any) -> Any:
    """Make steering characters of the log visible in every text that the template prints."""
    return wording.printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value

"""The few SVG elements that the charts draw with, escaped and rounded."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

from stillwatch.report.wording import printable

TEXT_SIZE: Final = 12
# Hues after Okabe & Ito (2008), darkened to 3:1 on white, so that they stay apart for colour-blind readers.
SERIES: Final = ("#2f5d8a", "#c07a1e", "#3d8b7d", "#a6587f", "#6b7f2a", "#7b6fb0", "#8a8f98")
PAINT: Final = {
    "ink": "#1c2127",
    "muted": "#59636f",
    "grid": "#dfe2e6",
    "axis": "#8b939d",
    "for": "#a8502a",
    "against": "#1d746e",
    "total": "#3b4652",
    "heat": "#2f5d8a",
    "onheat": "#ffffff",
    "empty": "#f0f1f3",
    "paper": "#ffffff",
} | {f"series{place}": colour for place, colour in enumerate(SERIES)}


def number(value: float) -> str:
    """A coordinate to a tenth of a pixel, without a useless zero."""
    return f"{value:.1f}".removesuffix(".0")


def text_width(content: str, size: float = TEXT_SIZE) -> float:
    """About how wide a line of a sans-serif face will be, pixels."""
    return 0.56 * size * len(content)


def fitted(content: str, width: float, size: float = TEXT_SIZE) -> str:
    """The text, cut with an ellipsis where it is wider than the pixels given."""
    if text_width(content, size) <= width:
        return content
    return content[: max(1, int(width / (0.56 * size)) - 1)].rstrip() + "…"


def text(
    x: float, y: float, content: str, paint: str = "ink", *, anchor: str = "start", size: float = TEXT_SIZE
) -> str:
    """One line of text; y is its baseline."""
    placed = "" if anchor == "start" else f' text-anchor="{anchor}"'
    sized = "" if size == TEXT_SIZE else f' font-size="{number(size)}"'
    return f'<text x="{number(x)}" y="{number(y)}"{placed}{sized}{filled(paint)}>{clean(content)}</text>'


def with_halo(parts: Iterable[str]) -> str:
    """Texts that stay legible where they cross a line."""
    return f'<g {stroked("paper")} stroke-width="3" paint-order="stroke">{"".join(parts)}</g>'


def rect(x: float, y: float, width: float, height: float, paint: str) -> str:
    """A filled rectangle."""
    return (
        f'<rect x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"'
        f"{filled(paint)}/>"
    )


def line(x1: float, y1: float, x2: float, y2: float, paint: str = "grid", *, dash: str = "") -> str:
    """A straight line of one pixel."""
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}"'
        f"{dashed} {stroked(paint)}/>"
    )


def polyline(points: Iterable[tuple[float, float]], paint: str) -> str:
    """A line through points, two pixels wide."""
    joined = " ".join(f"{number(x)},{number(y)}" for x, y in points)
    return f'<polyline points="{joined}" fill="none" stroke-width="2" {stroked(paint)}/>'


def path(commands: str, paint: str, opacity: float = 1.0) -> str:
    """A filled outline."""
    faded = "" if opacity >= 1 else f' fill-opacity="{opacity:.2f}"'
    return f'<path d="{commands}"{faded}{filled(paint)}/>'


def circle(x: float, y: float, radius: float, paint: str, *, hollow: bool = False) -> str:
    """A dot, full or hollow."""
    look = f' {stroked(paint)} fill="none" stroke-width="1.5"' if hollow else filled(paint)
    return f'<circle cx="{number(x)}" cy="{number(y)}" r="{number(radius)}"{look}/>'


def filled(paint: str) -> str:
    """Attributes that fill with a named paint, and let a page replace it.

    Ink is what the picture starts with.
    """
    if paint == "ink":
        return ""
    return f' class="f-{paint}" fill="{PAINT[paint]}"'


def group(paint: str, attributes: str, parts: Iterable[str]) -> str:
    """Elements that share a paint and further attributes, written once for all of them."""
    return f"<g {attributes}{filled(paint)}>{''.join(parts)}</g>"


def stroked(paint: str) -> str:
    """Attributes that stroke with a named paint, and let a page replace it."""
    return f'class="s-{paint}" stroke="{PAINT[paint]}"'


def clean(content: str) -> str:
    """Text that is safe inside any XML: escaped, and without control characters."""
    return escape(printable(content))


def picture(
    identity: str, width: float, height: float, parts: Iterable[str], *, title: str, description: str
) -> str:
    """The whole picture. The identity must be unique on a page and names the title and the description."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="f-ink" fill="{PAINT["ink"]}" '
        f'role="img" aria-labelledby="{identity}-t {identity}-d" '
        f'width="{number(width)}" height="{number(height)}" '
        f'viewBox="0 0 {number(width)} {number(height)}" '
        f'font-family="system-ui, sans-serif" font-size="{TEXT_SIZE}">'
        f'<title id="{identity}-t">{clean(title)}</title><desc id="{identity}-d">{clean(description)}</desc>'
        f"{''.join(parts)}</svg>"
    )


def on_paper(drawn: str) -> str:
    """A whole picture with a ground of its own, so that it is legible on any page."""
    head, end, rest = drawn.partition("</desc>")
    return f'{head}{end}<rect width="100%" height="100%"{filled("paper")}/>{rest}'

"""The calibration file: what was calibrated on what, and whether it speaks of a log that is to be scanned."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from stillwatch import __version__
from stillwatch.calibration.conformal import NOTHING, CalibrationError, quantile, rank
from stillwatch.calibration.evidence_over_time import least_bits
from stillwatch.evidence import load_weights
from stillwatch.fingerprint import SKETCH_VERSION
from stillwatch.objective.model import load as load_objective
from stillwatch.outputs import OutputError, write_json
from stillwatch.verdict import threshold

if TYPE_CHECKING:
    from stillwatch.examine import Options

FILE_VERSION = 2
"""1: before blocks said what they were scanned with; it is refused, since nobody can tell whether a scan is alike."""
TOLERANCE = 1.5
"""Factor by which a log may differ from the median block in length, exchanges and principals, either way."""

A_DAY = "exchanges a day"
STATED, FIRST_USES, NO_RELEASE = "stated", "first_uses", "none"
"""What stands for the releases of models in a log: what ``--release`` states inside its time; first uses, where nothing is
stated of its models; nothing, where all that is stated of them lies outside."""

Setting = float | str


@dataclass(frozen=True, slots=True)
class Traffic:
    """A log as far as the match of a calibration goes by it."""

    name: str
    """File or folder, and the days where it was cut; not its path."""

    days: float
    """From the first exchange to the last."""

    exchanges: int
    principals: int
    columns_missing: tuple[str, ...]
    """Columns that are null throughout, in which signals are silent."""

    digest: str
    """Hash of the names of its exchanges: the same traffic is known again."""

    licences: str = ""
    """Hash of whom the registry covers on its last day; empty for nobody."""

    releases: str = FIRST_USES
    """What stands for releases of models in it."""

    mapped: bool | None = None
    """Whether a table of identities was read with it; None where that is not known, as of sketches."""


@dataclass(frozen=True, slots=True)
class Cadence:
    """How a live run looks at traffic."""

    step_s: float
    """Time between two looks."""

    window_s: float
    """How far back exchanges are known."""

    soonest_s: float | None = None
    """Time to the next look where evidence comes near the bar; None: the same."""

    @property
    def least_s(self) -> float:
        """Time between the looks that are closest."""
        return self.step_s if self.soonest_s is None else self.soonest_s


@dataclass(frozen=True, slots=True)
class Block:
    """One log of clean traffic and its score."""

    traffic: Traffic
    score: float | None
    """Largest margin of a stream that passes all other gates of an accusation, at any look where there are several, bits;
    None where none does."""

    left_out: str | None = None
    """Why it does not count, where it does not."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A bar that was calibrated on clean traffic, as its file holds it."""

    alpha: float
    """P(any innocent campaign is accused in a scan, or at any look), over blocks and the judged log together."""

    blocks: tuple[Block, ...]
    n: int
    """Blocks that count."""

    rank: int | None
    """Which of their scores, from the smallest, is the calibrated margin; None for looks, where all of them make it."""

    margin_bits: float | None
    """Bits beyond the threshold of probability that an accusation must exceed; None where any number will do, since
    nothing passes the gates in the block of that rank, or for looks in any block."""

    threshold_bits: float
    """Bits of evidence that an accusation takes: never less than the threshold of probability asks."""

    tolerance: float
    key: str
    """Name of the key, not the key."""

    versions: Mapping[str, str]
    """Of the package, the sketch, the objective model and the evidence."""

    settings: Mapping[str, Setting]
    """Every number that a verdict depends on, the prior among them, and the regions that are not served."""

    cadence: Cadence | None = None
    """How the blocks were looked at as they happened; None where each was scanned once, as a whole."""

    file_version: int = FILE_VERSION

    @property
    def counted(self) -> tuple[Block, ...]:
        """The blocks that count."""
        return tuple(block for block in self.blocks if block.left_out is None)

    @property
    def scores(self) -> list[float]:
        """Scores of the blocks that count."""
        return scores_of(self.counted)

    @property
    def excess(self) -> float:
        """``margin_bits``, minus infinity where there is none."""
        return NOTHING if self.margin_bits is None else self.margin_bits


@dataclass(frozen=True, slots=True)
class _Versioned:
    """What every version of the file says."""

    file_version: int


def calibrate(
    blocks: Sequence[Block], alpha: float, key: str, options: Options, cadence: Cadence | None = None
) -> Calibration:
    """The bar that bounds the chance of a false accusation by ``alpha``, in one scan or over all looks at a ``cadence``.

    Raises :class:`CalibrationError` where the blocks that are alike do not support it.
    """
    _refuse_repeats(blocks)
    kept = _alike(blocks)
    counted = [block for block in kept if block.left_out is None]
    scores = scores_of(counted)
    try:
        margin = _margin(scores, alpha, cadence)
    except CalibrationError as error:
        left = [f"{block.traffic.name} ({block.left_out})" for block in kept if block.left_out]
        raise CalibrationError("; left out: ".join([str(error), *left])) from None
    return Calibration(
        alpha=alpha,
        blocks=tuple(kept),
        n=len(counted),
        rank=None if cadence else rank(len(counted), alpha),
        margin_bits=None if margin == NOTHING else margin,
        threshold_bits=threshold(options.bar) + max(margin, 0.0),
        tolerance=TOLERANCE,
        key=key,
        versions=versions(),
        settings=settings(options),
        cadence=cadence,
    )


def refuse_too_few(blocks: int, alpha: float, cadence: Cadence | None) -> None:
    """Raise :class:`CalibrationError` where so many blocks do not support an alpha, whatever their scores."""
    _margin([NOTHING] * blocks, alpha, cadence)


def scores_of(blocks: Sequence[Block]) -> list[float]:
    """Score of each block, minus infinity where nothing passes the gates."""
    return [NOTHING if block.score is None else block.score for block in blocks]


def _margin(scores: Sequence[float], alpha: float, cadence: Cadence | None) -> float:
    return quantile(scores, alpha) if cadence is None else least_bits(scores, alpha)


def versions() -> dict[str, str]:
    """Versions of all that a score depends on."""
    return {
        "stillwatch": __version__,
        "sketch": str(SKETCH_VERSION),
        "objective": load_objective().version,
        "evidence": load_weights().version,
    }


def settings(options: Options) -> dict[str, Setting]:
    """Every number of a scan that a score depends on."""
    regions = " ".join(sorted(options.unsupported_regions)) or "none"
    parts = {"rule": asdict(options.rule), "suspicion": asdict(options.suspicion), "bar": asdict(options.bar)}
    numbers = {
        f"{part}.{name}": value if isinstance(value, int | float) else str(value)
        for part, record in parts.items()
        for name, value in record.items()
        if name != "excess"
    }
    return numbers | {"unsupported_regions": regions}


def differences(calibration: Calibration, log: Traffic, key: str) -> list[str]:
    """In what a log is not like the blocks, so that the calibration says nothing of it; empty where it is."""
    blocks = [block.traffic for block in calibration.counted]
    factor, looks = calibration.tolerance, calibration.cadence is not None
    found = [
        f"it has {_amount(own)} {what}, the blocks {_amount(usual)} at the median (a factor of {factor:g} is allowed)"
        for what, own, usual in (_grown if looks else _compared)(log, blocks)
        if own > usual * factor or (own < usual / factor and (not looks or what == A_DAY))
    ]
    known = {name for block in blocks for name in block.columns_missing}
    if lacking := sorted(set(log.columns_missing) - known):
        found.append(f"it lacks {', '.join(lacking)}, which every block has")
    if more := sorted(
        set.intersection(*(set(block.columns_missing) for block in blocks)) - {*log.columns_missing}
    ):
        found.append(f"it has {', '.join(more)}, which every block lacks")
    found += _told_otherwise(log, blocks)
    if log.digest in {block.traffic.digest for block in calibration.blocks}:
        found.append("it is one of the blocks itself")
    if key != calibration.key:
        found.append("it was sketched with another key than the blocks")
    return found


def _told_otherwise(log: Traffic, blocks: Sequence[Traffic]) -> list[str]:
    """In what a log was scanned with other knowledge than any block, so that more may be accused in it."""
    found = []
    if log.licences not in {block.licences for block in blocks}:
        found.append("other licences are in force than for any block")
    releases = {block.releases for block in blocks}
    if log.releases == STATED and STATED not in releases:
        found.append("a release of a model is stated inside its time, and inside that of no block")
    if log.releases == FIRST_USES and FIRST_USES not in releases:
        found.append("no release of its models is stated, and of those of every block one is")
    mapped = {block.mapped for block in blocks}
    if log.mapped is not None and not mapped & {log.mapped, None}:
        used, not_used = ("with", "without") if log.mapped else ("without", "with")
        found.append(f"it was read {used} a table of identities, and every block {not_used} one")
    return found


def check(calibration: Calibration, options: Options, cadence: Cadence | None = None) -> None:
    """Raise :class:`CalibrationError` where the calibration was made for another program or other settings, or for a scan
    where it is to be held against looks at a ``cadence``, and the other way round."""
    _check_looks(calibration.cadence, cadence)
    for what, own, other in (
        ("version of", versions(), calibration.versions),
        ("setting", settings(options), calibration.settings),
    ):
        for name in sorted({*own, *other}):
            if own.get(name) != other.get(name):
                raise CalibrationError(
                    f"the calibration was made with another {what} {name}: {other.get(name, 'none')}, and this scan "
                    f"has {own.get(name, 'none')}; give the scan the same, or calibrate again"
                )


def _check_looks(made: Cadence | None, wanted: Cadence | None) -> None:
    if wanted is None:
        if made is not None:
            raise CalibrationError(
                "the calibration was made for looks at live traffic; calibrate without --step for a scan"
            )
    elif made is None:
        raise CalibrationError(
            "the calibration was made for a scan, and there are many looks here; calibrate with --step and --window "
            f"for them, such as --step {wanted.step_s / 3600:g}h"
        )
    elif wanted.window_s != made.window_s or not _covers(made, wanted):
        raise CalibrationError(
            f"the calibration was made for looks {_apart(made)} at a window of {made.window_s:g} s, and here they are "
            f"{_apart(wanted)} at {wanted.window_s:g} s; give the same --window, --step and --sooner, or looks that are at "
            "least so far apart and a multiple of it, or calibrate again"
        )


def _covers(made: Cadence, wanted: Cadence) -> bool:
    """Whether blocks were looked at alike, or wherever it may be looked."""
    alike = (made.step_s, made.least_s) == (wanted.step_s, wanted.least_s)
    return alike or wanted.least_s % made.step_s == 0


def _apart(cadence: Cadence) -> str:
    least = "" if cadence.least_s == cadence.step_s else f" ({cadence.least_s:g} s where evidence comes near)"
    return f"{cadence.step_s:g} s apart{least}"


def write(calibration: Calibration, path: Path) -> None:
    """Write the file aside and rename it."""
    aside = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(msgspec.to_builtins(calibration), aside)
        os.replace(aside, path)
    except OSError as error:
        raise OutputError(
            f"cannot write the calibration {path}: {error.strerror}; choose another file with --out"
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def read(path: Path) -> Calibration:
    """A calibration file; raises :class:`CalibrationError` where it is none or does not agree with itself."""
    remedy = "give a file that `stillwatch calibrate` wrote, or calibrate again"
    try:
        text = path.read_bytes()
        version = msgspec.json.decode(text, type=_Versioned).file_version
        if version != FILE_VERSION:
            raise CalibrationError(
                f"{path} is a calibration of version {version}, and {FILE_VERSION} is read here; {remedy}"
            )
        found = msgspec.json.decode(text, type=Calibration)
    except OSError as error:
        raise CalibrationError(f"cannot read the calibration {path}: {error.strerror}; {remedy}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CalibrationError(f"{path} is no calibration: {error}; {remedy}") from error
    made = _margin(found.scores, found.alpha, found.cadence)
    if found.n != len(found.counted) or not math.isclose(found.excess, made, abs_tol=1e-9):
        raise CalibrationError(f"{path}: the margin is not what the scores of its blocks give; {remedy}")
    return found


def _compared(log: Traffic, blocks: Sequence[Traffic]) -> list[tuple[str, float, float]]:
    """Length and volume of a log beside the median of the blocks."""
    return [
        ("days", log.days, statistics.median(block.days for block in blocks)),
        ("exchanges", log.exchanges, statistics.median(block.exchanges for block in blocks)),
        ("principals", log.principals, statistics.median(block.principals for block in blocks)),
    ]


def _grown(log: Traffic, blocks: Sequence[Traffic]) -> list[tuple[str, float, float]]:
    """The same of traffic that is looked at as it happens: less than a block at first, and, after a day, as much a day."""
    found = _compared(log, blocks)
    if log.days >= 1:
        usual = statistics.median(block.exchanges / max(block.days, 1) for block in blocks)
        found.append((A_DAY, log.exchanges / log.days, usual))
    return found


def _alike(blocks: Sequence[Block]) -> list[Block]:
    """The blocks, those that are unlike the median block marked as left out."""
    kept = []
    for block in blocks:
        unlike = [
            f"{_amount(own)} {what}, where the median block has {_amount(usual)}"
            for what, own, usual in _compared(block.traffic, [other.traffic for other in blocks])
            if not usual / TOLERANCE <= own <= usual * TOLERANCE
        ]
        kept.append(Block(block.traffic, block.score, "; ".join(unlike) or None))
    return kept


def _refuse_repeats(blocks: Sequence[Block]) -> None:
    seen: dict[str, str] = {}
    for traffic in (block.traffic for block in blocks):
        if traffic.digest in seen:
            raise CalibrationError(
                f"{traffic.name} is the same traffic as {seen[traffic.digest]}; give every block once"
            )
        seen[traffic.digest] = traffic.name


def _amount(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}".removesuffix(".0")

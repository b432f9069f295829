"""What the bar guarantees in this log, what the log's own null says of it, and where that stops an accusation."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from stillwatch.calibration import record
from stillwatch.calibration.blocks import describe
from stillwatch.calibration.evidence_over_time import e_value
from stillwatch.calibration.null import LEAST_STREAMS, Null, fit_null
from stillwatch.evidence import CONDUCT, INTENT
from stillwatch.history import DAY_S
from stillwatch.verdict import Verdict, margin, needed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.calibration.record import Cadence, Calibration
    from stillwatch.examine import Options, Scanned
    from stillwatch.judging import Judged
    from stillwatch.keys import Keys

UNSAFE = 1.0
"""Innocent streams that the null expects at an accusation's bits, from which it is not made."""

OF_CAMPAIGN = 0.5
"""Share of a family's exchanges by principals of accused campaigns from which it is no measure of the innocent."""


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What is known of the chance that anybody innocent is accused, in this scan or at any look of this run."""

    calibration: Calibration | None
    differences: tuple[str, ...]
    """In what the log is not like the blocks of the calibration."""

    null: Null | None
    of_campaigns: float
    """Share of the measured streams that accused campaigns explain, which the null leaves out."""

    @property
    def alpha(self) -> float | None:
        """The bound on that chance; None where there is none."""
        return self.calibration.alpha if self.calibration is not None and not self.differences else None

    @property
    def contamination(self) -> float | None:
        """Share of the measured streams that are not innocent, as far as the null tells."""
        return None if self.null is None else 1 - (1 - self.of_campaigns) * (1 - self.null.contamination)


def calibrated(options: Options) -> Options:
    """The options with the bar at its calibrated height; raises ``CalibrationError`` where it was made for
    other settings."""
    if options.calibration is None:
        return options
    record.check(options.calibration, options)
    return replace(options, bar=replace(options.bar, excess=options.calibration.excess))


def assess(
    scanned: Scanned, groups: Sequence[Judged], keys: Keys, options: Options, mapped: bool | None = None
) -> Guarantee:
    """Compare the log with the blocks, and match its own null.

    ``mapped``: whether a table of identities was read with the log; None where that is not known.
    """
    calibration = options.calibration
    unlike = []
    if calibration is not None:
        log = replace(describe(scanned, "log", options), mapped=mapped)
        unlike = record.differences(calibration, log, keys.name)
    measured = scanned.by_family
    speaking = ~np.isnan(np.stack([measured.of(signal) for signal in CONDUCT])).all(axis=0)
    taken = speaking & _of_campaigns(scanned, groups)
    rest = speaking & ~taken
    asks = np.nan_to_num(measured.of(INTENT)) >= options.bar.intent
    share = float(taken.sum() / max(1, speaking.sum()))
    return Guarantee(calibration, tuple(unlike), fit_null(measured.total[rest], asks[rest]), share)


def restrain(groups: Sequence[Judged], guarantee: Guarantee) -> list[Judged]:
    """Accusations that the log's own innocent streams would reach by chance become undetermined.

    A calibrated bar is not second-guessed: there the chance is bounded.
    """
    null = guarantee.null
    if null is None or guarantee.alpha is not None:
        return list(groups)
    result = []
    for judged in groups:
        ruling = judged.ruling
        expected = null.expected(judged.own_bits)
        if ruling.verdict is Verdict.EXTRACTION and expected >= UNSAFE:
            reason = (
                f"the innocent streams of this log are spread so widely that {expected:.1f} of them should reach as "
                "much evidence by chance: the threshold is not safe here"
            )
            ruling = replace(ruling, verdict=Verdict.UNDETERMINED, reasons=(reason, *ruling.reasons))
        result.append(replace(judged, ruling=ruling))
    return result


def over_time(judged: Judged, options: Options) -> list[str]:
    """What the evidence of an accused campaign is worth over looks, where they were calibrated, as a reason of it."""
    calibration = options.calibration
    if calibration is None or calibration.cadence is None or judged.ruling.verdict is not Verdict.EXTRACTION:
        return []
    worth = e_value(float(margin(judged.case.bits, judged.case.doubted, options.bar)), calibration.scores)
    return [
        f"against {calibration.n} clean stretches that were looked at alike its evidence has an e-value of {worth:.3g}, "
        f"where {1 / calibration.alpha:.3g} is asked for"
    ]


def state(guarantee: Guarantee, options: Options) -> dict[str, Any]:
    """The guarantee as it stands in ``overview.json``."""
    calibration, null, bits = guarantee.calibration, guarantee.null, needed(options.bar)
    return {
        "alpha": guarantee.alpha,
        "method": "none" if guarantee.alpha is None else _method(calibration),
        "threshold_bits": bits,
        "calibration": None
        if calibration is None
        else {
            "alpha": calibration.alpha,
            "blocks": calibration.n,
            "margin_bits": calibration.margin_bits,
            "differences": list(guarantee.differences),
        },
        "null": None
        if null is None
        else asdict(null)
        | {
            "contamination": guarantee.contamination,
            "expected_innocent": null.expected(bits),
            "estimated_alpha": null.alpha(bits),
        },
        "statement": _guaranteed(guarantee) + " " + _estimated(null, bits),
    }


def _method(calibration: Calibration | None) -> str:
    return "conformal_e_process" if calibration is not None and calibration.cadence else "split_conformal"


def _guaranteed(guarantee: Guarantee) -> str:
    calibration = guarantee.calibration
    if calibration is None:
        return "No error rate is guaranteed: the bar was not calibrated on clean traffic."
    if guarantee.differences:
        return (
            "No error rate is guaranteed: the log is not like the clean traffic that the bar was calibrated on, since "
            f"{'; '.join(guarantee.differences)}. The bar stands at its calibrated height all the same."
        )
    if calibration.cadence is not None:
        return _over_looks(calibration, calibration.cadence)
    return (
        f"The chance that any innocent campaign is accused in such a scan is at most {calibration.alpha:g}, over "
        f"calibrations on {calibration.n} blocks of clean traffic and the scanned log together, if this log and "
        "they are exchangeable."
    )


def _over_looks(calibration: Calibration, cadence: Cadence) -> str:
    days = statistics.median(block.traffic.days for block in calibration.counted)
    on = days - cadence.window_s / DAY_S - 1
    later = (
        f", and in any {on:.1f} days of a run that goes on" if on > 0
        else "; a run that goes on for longer needs blocks that are longer than its window"
    )  # fmt: skip
    return (
        f"The chance that any innocent campaign is accused at any look in the first {days:.1f} days is at most "
        f"{calibration.alpha:g}{later}. Evidence over time is an e-process, of which the mean is at most 1 whenever one "
        f"stops, over calibrations on {calibration.n} blocks of clean traffic and the looked-at traffic together, if this "
        "traffic and they are exchangeable as stretches of time."
    )


def _estimated(null: Null | None, bits: float) -> str:
    if null is None:
        return (
            f"The log has fewer than {LEAST_STREAMS} measured streams that differ, too few for an estimate."
        )
    alpha = null.alpha(bits)
    figure = "under 0.001" if alpha < 0.001 else f"about {alpha:.1g}"
    return (
        "A normal curve through the log's own families would put the chance that an innocent campaign is accused at "
        f"{figure}: an estimate from the far tail of a curve, no guarantee."
    )


def _of_campaigns(scanned: Scanned, groups: Sequence[Judged]) -> NDArray[np.bool_]:
    """Families most of whose exchanges are by principals of accused campaigns: bool[families]."""
    taking = np.zeros(scanned.principals.count, bool)
    for judged in groups:
        if judged.ruling.verdict is Verdict.EXTRACTION:
            taking[judged.taking_part] = True
    families, count = scanned.families.family, len(scanned.families.names)
    theirs = np.bincount(
        families, weights=taking[scanned.principals.of_row[scanned.families.row]], minlength=count
    )
    mostly: NDArray[np.bool_] = theirs >= OF_CAMPAIGN * np.maximum(np.bincount(families, minlength=count), 1)
    return mostly

"""Bits, prior and registry to a verdict, with reasons for it and what speaks against.

An accusation needs three things apart: intent (the template asks for training data), coordination (the
signals that speak of one hand behind many principals) and enough of both that the posterior passes the
threshold. Everything that looks alike and lacks one of them gets the name of the innocent cause that fits, or
``undetermined``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from stillwatch.doubts import doubts
from stillwatch.evidence import DOSE, INTENT, posterior
from stillwatch.fingerprint import NEW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stillwatch.doubts import Doubt
    from stillwatch.evidence import Measured

    _Bits = NDArray[np.float64] | float


class Verdict(StrEnum):
    """What is said of a family, a campaign or a principal."""

    EXTRACTION = "extraction"
    SHARED_CLIENT = "shared_client"
    INTEGRATOR = "integrator"
    EVALUATION = "evaluation"
    POPULAR_PROMPT = "popular_prompt"
    LICENSED = "licensed"
    UNDETERMINED = "undetermined"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Bar:
    """What an accusation must clear."""

    prior: float = 5e-2
    """P(extraction) of a text that asks for training data and that many principals share, before it is measured."""

    probability: float = 0.95
    """Posterior from which a stream is called extraction."""

    intent: float = 0.1
    """Least value of the objective signal: seven times what ordinary requests show on average."""

    principals: int = 15
    """Principals who take part, below which nobody is accused: a handful of accounts is a team or a few firms, too
    often to tell."""

    conduct: float = 0.0
    """Least bits of conduct: mixing, pacing, routine and dose together. What a stream shares (cards, networks, days of
    opening, an even load) may be had by one house too, and weighs nothing where the principals work like people of
    their own."""

    returning: float = 0.5
    """Least value of the dose signal: who sends a text once or twice takes nothing by it, and what an operator's accounts
    send of their customers' is sent so, whatever hours they keep."""

    doubtful_bits: float = 6.0
    """Bits beyond the threshold of probability that all evidence together must weigh for each doubt, such as a
    text that is the same every time, or a signal of conduct that is silent (``doubts.py``)."""

    unexplained: float = 22.0
    """Bits of all signals but the objective from which a stream is undetermined though it asks for nothing, where no
    signal of conduct is silent or speaks clearly against."""

    unexplained_conduct: float = 9.0
    """Bits of conduct that this takes besides."""

    suspicion: float = 0.5
    """Posterior from which a stream is shown to a person as undetermined."""

    against: float = -3.0
    """Bits of one signal of conduct from which it speaks clearly against: the stream is then shown only if its
    probability reaches the bar all the same, since most of what people send by the same client looks like it."""

    excess: float = -math.inf
    """Bits beyond the threshold of probability that an accusation must exceed, as a calibration on clean traffic
    found; it can only raise the bar. Families are grouped without it."""


@dataclass(frozen=True, slots=True)
class Case:
    """All that a verdict on one stream rests on."""

    bits: float
    objective: float
    """Value of the objective signal, 0 to 1."""

    coordination: float
    """Bits of all signals but the objective."""

    conduct: float
    """Bits of the signals of conduct, and of the dose."""

    against: float
    """Bits of the signal of conduct that speaks most against."""

    returning: float
    """Value of the dose signal, 0 to 1; 0 where it is silent."""

    silent: bool
    """Whether a signal of conduct says nothing."""

    doubts: tuple[Doubt, ...]
    """Reasons to ask for more than the bar."""

    principals: int
    accounts: int
    key_principals: float
    """Share of the stream's principals that are end users of one account, if they are most; else 0."""

    key_share: float
    """Share of that account's principals which are in the stream."""

    organization: float
    """Share of the stream's principals in the declared organization that most of them belong to, where it has
    several accounts in it; else 0."""

    independent: int
    """Principals, where the accounts of one declared organization count once."""

    licensed: float
    """Share of the stream's exchanges by principals whom the registry covers."""

    partition: float
    """Value of the partition signal, NaN where it is silent."""

    role: int
    """Part of the request in which the template stands."""

    @property
    def doubted(self) -> int:
        """How often more than the bar is asked for."""
        return sum(doubt.times for doubt in self.doubts)


@dataclass(frozen=True, slots=True)
class Ruling:
    """A verdict and the grounds of it, in words."""

    verdict: Verdict
    probability: float
    reasons: tuple[str, ...]


EVALUATION_PARTITION = 0.7
"""Below this value of the partition signal principals send each other's items, as the runs of one evaluation
do, and nobody is accused: the least of a campaign in the logs of six authors is 0.79."""

CERTAIN_EVALUATION = 0.35
"""Below this one it is an evaluation however strong the rest; above, a person looks at what is as strong as a campaign."""

KEY_MOST, KEY_OWN = 0.9, 0.5
ORGANIZATION_MOST = 0.9


def threshold(bar: Bar) -> float:
    """Bits of evidence at which the probability reaches the bar."""
    return math.log2(bar.probability / (1 - bar.probability) * (1 - bar.prior) / bar.prior)


def needed(bar: Bar, doubts: int = 0) -> float:
    """Bits of evidence that an accusation takes, the calibrated margin included.

    >>> round(needed(Bar()), 1), round(needed(Bar(), doubts=1), 1)
    (8.5, 14.5)
    """
    return threshold(bar) + bar.doubtful_bits * doubts + max(bar.excess, 0.0)


def margin(bits: _Bits, doubts: NDArray[np.int64] | int, bar: Bar) -> NDArray[np.float64]:
    """Bits by which evidence lies beyond the threshold of probability, which each doubt raises."""
    return np.asarray(bits - (threshold(bar) + bar.doubtful_bits * doubts), np.float64)


def accused(measured: Measured, bar: Bar) -> list[int]:
    """Streams whose evidence clears the bar, the strongest first; what they are, as a whole, is ruled on
    later.

    The calibrated margin is not asked for here: a calibration holds for scores that do not depend on it.
    """
    beyond = margin(measured.total, doubts(measured), bar)
    clear = (beyond >= 0) & (measured.of(INTENT) >= bar.intent) & (measured.conduct >= bar.conduct)
    clear &= measured.of(DOSE) >= bar.returning
    return sorted(np.flatnonzero(clear).tolist(), key=lambda stream: (-float(measured.total[stream]), stream))


def unexplained(measured: Measured, bar: Bar) -> NDArray[np.bool_]:
    """Streams that one hand seems to move whatever they ask for: bool[s]."""
    coordination = measured.total - measured.start - measured.bits_of(INTENT)
    moved: NDArray[np.bool_] = _one_hand(
        coordination, measured.conduct, measured.against, np.logical_not(measured.silent), bar
    )
    return moved


def _one_hand(coordination: _Bits, conduct: _Bits, against: _Bits, spoken: Any, bar: Bar) -> Any:
    return (
        (coordination >= bar.unexplained)
        & (conduct >= bar.unexplained_conduct)
        & (against > bar.against)
        & spoken
    )


def rule(case: Case, bar: Bar) -> Ruling:
    """Verdict on one stream."""
    probability = posterior(case.bits, bar.prior)
    intent = case.objective >= bar.intent
    beyond = float(margin(case.bits, case.doubted, bar))
    clear = beyond >= 0 and beyond > bar.excess and intent and case.conduct >= bar.conduct
    clear = clear and case.returning >= bar.returning
    alike = intent and probability >= (bar.suspicion if case.against > bar.against else bar.probability)
    found = (
        _licensed(case)
        or _one_house(case, alike, bar)
        or _evaluation(case, clear)
        or (_extraction(case, probability, bar) if clear else None)
        or (_undetermined(case, probability, beyond, bar) if alike else None)
        or _unexplained(case, bar)
        or _innocent(case)
    )
    return Ruling(found[0], probability, found[1])


_Found = tuple[Verdict, tuple[str, ...]]


def _licensed(case: Case) -> _Found | None:
    if case.licensed < 0.5:
        return None
    return Verdict.LICENSED, (
        f"{case.licensed:.0%} of its exchanges come from accounts that the registry covers",
    )


def _one_house(case: Case, alike: bool, bar: Bar) -> _Found | None:
    """One account's product, or the fleets of keys of one or a few declared organizations: coordinated, and nobody hides
    it."""
    if case.key_principals >= KEY_MOST and case.key_share >= KEY_OWN:
        reason = (
            f"{case.key_principals:.0%} of its principals are end users of one account, and "
            f"{case.key_share:.0%} of that "
            "account's users send it: it is the account's own product"
        )
    elif case.organization >= ORGANIZATION_MOST:
        reason = (
            f"{case.organization:.0%} of its principals belong to one declared organization, which hides "
            "nothing"
        )
    elif alike and case.independent < bar.principals <= case.principals:
        reason = (
            f"its {case.principals:,} principals are accounts of declared organizations, which hide nothing: counted once "
            f"each they are {case.independent:,}"
        )
    else:
        return None
    if alike:
        return Verdict.UNDETERMINED, (reason, "it asks for training data, and no licence is on file")
    return Verdict.INTEGRATOR, (reason,)


def _evaluation(case: Case, clear: bool) -> _Found | None:
    if not case.partition < EVALUATION_PARTITION:  # also where the signal is silent (NaN)
        return None
    reason = (
        f"each item is sent by {1 - case.partition:.0%} of the other principals too: they run one set of "
        "items, as an evaluation does"
    )
    if clear and case.partition >= CERTAIN_EVALUATION:
        return Verdict.UNDETERMINED, (reason, "its evidence would do for an accusation otherwise")
    return Verdict.EVALUATION, (reason,)


def _percent(probability: float) -> str:
    """A probability in words that claim no more than a fit can.

    >>> _percent(0.999972), _percent(0.957), _percent(0.0234)
    ('over 99.9%', '95.7%', '2.3%')
    """
    return "over 99.9%" if probability > 0.999 else f"{probability:.1%}"


def _in_one(reasons: Sequence[str]) -> str:
    """Reasons in one sentence.

    >>> _in_one(["it rains"]), _in_one(["it rains", "it is late", "nobody came"])
    ('it rains', 'it rains, it is late, and nobody came')
    """
    return reasons[0] if len(reasons) == 1 else f"{', '.join(reasons[:-1])}, and {reasons[-1]}"


def _extraction(case: Case, probability: float, bar: Bar) -> _Found:
    return Verdict.EXTRACTION, (
        f"the probability is {_percent(probability)} at a prior of {bar.prior:g} ({case.bits:+.1f} bits of "
        "evidence)",
        f"how its principals behave weighs {case.conduct:+.1f} bits by itself, whatever they ask for",
    )


def _undetermined(case: Case, probability: float, beyond: float, bar: Bar) -> _Found:
    reason = (
        f"the probability is {_percent(probability)} at a prior of {bar.prior:g}: too much to pass over, too "
        "little to accuse"
    )
    if 0 <= beyond <= bar.excess:
        reason = (
            f"its evidence lies {beyond:.1f} bits beyond the threshold, and innocent streams of the clean traffic "
            f"that the bar was calibrated on lie up to {bar.excess:.1f} bits beyond"
        )
    elif case.doubts and -bar.doubtful_bits * case.doubted <= beyond < 0:
        reason = (
            f"its evidence of {case.bits:+.1f} bits would do, but "
            + _in_one([doubt.reason for doubt in case.doubts])
            + f", and {bar.doubtful_bits * case.doubted:g} bits more are asked for then"
        )
    return Verdict.UNDETERMINED, (reason,)


def _unexplained(case: Case, bar: Bar) -> _Found | None:
    if not _one_hand(case.coordination, case.conduct, case.against, not case.silent, bar):
        return None
    reason = (
        f"one hand seems to move its principals ({case.coordination:+.1f} bits), but its text asks for no "
        "training data"
    )
    return Verdict.UNDETERMINED, (reason,)


def _innocent(case: Case) -> _Found:
    """The innocent cause that fits a shared text best."""
    if case.role != NEW:
        reason = (
            f"{case.accounts:,} accounts send one system prompt or tool set, each with content of its own"
        )
        return Verdict.SHARED_CLIENT, (reason,)
    reason = f"{case.principals:,} principals send a common text; nothing says that one hand moves them"
    return Verdict.POPULAR_PROMPT, (reason,)

"""Bits, prior and registry to a verdict, with reasons for it and what speaks against.

An accusation needs three things apart: intent (the template asks for training data), coordination (the signals that
speak of one hand behind many principals) and enough of both that the posterior passes the threshold. Everything that
looks alike and lacks one of them gets the name of the innocent cause that fits, or ``undetermined``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from stillwatch.evidence import posterior
from stillwatch.fingerprint import NEW


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

    prior: float = 1e-3
    """P(extraction) of a family that many principals share, before it is measured."""

    probability: float = 0.95
    """Posterior from which a stream is called extraction."""

    intent: float = 0.15
    """Least value of the objective signal: ten times what ordinary requests show on average."""

    conduct: float = 5.0
    """Least bits of the signals of conduct together: mixing, pacing and routine. They alone cannot be had by sharing a
    network, a card or a popular text."""

    unexplained: float = 16.0
    """Bits of all signals but the objective from which a stream is undetermined though it asks for nothing."""

    suspicion: float = 0.10
    """Posterior from which a stream is shown to a person as undetermined."""


@dataclass(frozen=True, slots=True)
class Case:
    """All that a verdict on one stream rests on."""

    bits: float
    objective: float
    """Value of the objective signal, 0 to 1."""

    coordination: float
    """Bits of all signals but the objective."""

    conduct: float
    """Bits of the signals of conduct."""

    principals: int
    accounts: int
    key_principals: float
    """Share of the stream's principals that are end users of one account, if they are most; else 0."""

    key_share: float
    """Share of that account's principals which are in the stream."""

    licensed: float
    """Share of the stream's exchanges by principals whom the registry covers."""

    partition: float
    """Value of the partition signal, NaN where it is silent."""

    role: int
    """Part of the request in which the template stands."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """A verdict and the grounds of it, in words."""

    verdict: Verdict
    probability: float
    reasons: tuple[str, ...]


EVALUATION_PARTITION = 0.7
KEY_MOST = 0.9
KEY_OWN = 0.5


def rule(case: Case, bar: Bar) -> Ruling:
    """Verdict on one stream."""
    probability = posterior(case.bits, bar.prior)
    alike = probability >= bar.suspicion and case.objective >= bar.intent
    if case.licensed >= 0.5:
        return Ruling(Verdict.LICENSED, probability, (f"{case.licensed:.0%} of its exchanges come from accounts that the registry covers",))
    if case.key_principals >= KEY_MOST and case.key_share >= KEY_OWN:
        reason = f"{case.key_principals:.0%} of its principals are end users of one account and {case.key_share:.0%} of that account's users send it: it is the account's own product"
        if alike:
            return Ruling(Verdict.UNDETERMINED, probability, (reason, "the product asks for training data; nobody declared it"))
        return Ruling(Verdict.INTEGRATOR, probability, (reason,))
    if case.partition == case.partition and case.partition < EVALUATION_PARTITION:  # NaN: the signal is silent
        reason = f"each item is sent by {1 - case.partition:.0%} of the other principals: they run one set of items, as an evaluation does"
        return Ruling(Verdict.EVALUATION, probability, (reason,))
    if probability >= bar.probability and case.objective >= bar.intent and case.conduct >= bar.conduct:
        return Ruling(Verdict.EXTRACTION, probability, (
            f"the posterior is {probability:.4f} at a prior of {bar.prior:g} ({case.bits:+.1f} bits)",
            f"how its principals behave weighs {case.conduct:+.1f} bits by itself, whatever they ask for",
        ))  # fmt: skip
    if alike:
        return Ruling(Verdict.UNDETERMINED, probability, (f"the posterior is {probability:.3f} at a prior of {bar.prior:g}: too much to pass over, too little to accuse",))
    if case.coordination >= bar.unexplained and case.conduct >= bar.conduct:
        reason = f"one hand seems to move its principals ({case.coordination:+.1f} bits), but its text asks for no training data"
        return Ruling(Verdict.UNDETERMINED, probability, (reason,))
    verdict, reason = _innocent(case)
    return Ruling(verdict, probability, (reason,))


def _innocent(case: Case) -> tuple[Verdict, str]:
    """The innocent cause that fits a shared text best."""
    if case.role != NEW:
        return Verdict.SHARED_CLIENT, f"{case.accounts:,} accounts send one system prompt or tool set, each with content of its own"
    return Verdict.POPULAR_PROMPT, f"{case.principals:,} principals send a common text; nothing says that one hand moves them"

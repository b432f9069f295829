"""What every export says of itself, in words: what it is not, and what may be done."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stillwatch.share.finding import Finding

CAVEAT = (
    "A statistical finding of one provider, not a fact about an operator. Honest jobs (public benchmarks, open-source "
    "pipelines at several firms) share templates too and are sometimes accused. Do not act on this alone: look for the "
    "template in your own log, weigh what you find there by itself, and let whoever is hit object. Accounts and "
    "addresses are HMAC under the key of a circle and say nothing outside of it; addresses are shared by innocent "
    "people and change hands within days."
)

RESPONSE = (
    "Throttle or step up verification first; hide or summarise reasoning traces; cap log-probabilities; suspend only "
    "after a person has looked. Give every action an expiry and a way to object."
)

ATLAS = (
    ("AML.T0024.002", "Extract AI Model"),
    ("AML.T0008.005", "AI Service Proxies"),
    ("AML.T0040", "AI Model Inference API Access"),
)
"""Techniques of MITRE ATLAS."""
ATLAS_TECHNIQUE = "https://atlas.mitre.org/techniques/"
ATLAS_CASE = ("AML.CS0056", "https://atlas.mitre.org/studies/AML.CS0056")
"""The case study of campaigns of this kind."""


def described(finding: Finding) -> str:
    """One campaign in a sentence or two."""
    asks = ", ".join(name.replace("_", " ") for name in finding.objectives) or "no training objective by name"
    cut = f" {finding.accounts_cut:,} accounts are left out." if finding.accounts_cut else ""
    return (
        f"{finding.exchanges:,} exchanges by {finding.principals:,} principals of one or a few templates that ask for "
        f"{asks}; verdict {finding.verdict}, {finding.own_bits:+.1f} bits of own evidence.{cut}"
    )


def evidence(finding: Finding) -> str:
    """The evidence, signal by signal."""
    return "Evidence in bits: " + ", ".join(f"{name} {bits:+.1f}" for name, bits in finding.evidence) + "."

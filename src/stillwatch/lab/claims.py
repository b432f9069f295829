"""The seven claims and what the experiments say about each; read from their committed summaries, without torch.

A claim stands on *rows*: conclusions of experiments, each under a condition. It holds if all of them do, holds only if
one of the conditions is met where some do, and does not hold where none does. What is undecided does not hold: it was not
shown. Rows of experiments that were not run yet are named and have no say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One conclusion on which a claim stands."""

    condition: str
    """Where it was looked at, to be read after "only if"."""
    experiment: str
    begins: str
    """How the conclusion's text begins after the name of the experiment; exactly one does."""
    ends: str = ""
    contrary: bool = False
    """The claim holds where this conclusion does not."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim; the first row gives its estimate."""

    number: str
    """As claims are counted; a claim of two halves has two."""
    name: str
    statement: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A row with its record."""

    row: Row
    record: Mapping[str, Any]

    @property
    def holds(self) -> bool:
        """Whether the claim holds here."""
        if "undecided" in self.record["verdict"]:
            return False
        return bool(self.record["verdict"].startswith("holds")) != self.row.contrary


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known about a claim."""

    claim: Claim
    findings: tuple[Finding, ...]
    not_run: tuple[Row, ...] = ()

    @property
    def verdict(self) -> str:
        """holds, holds only if, or does not hold."""
        held = [finding.holds for finding in self.findings]
        return "holds" if all(held) else "holds only if" if any(held) else "does not hold"

    @property
    def conditions(self) -> list[str]:
        """Where it holds, if not everywhere."""
        return [finding.row.condition for finding in self.findings if finding.holds]

    def sentence(self) -> str:
        """The claim with what its verdict needs."""
        only = f" (only if {' or if '.join(self.conditions)})" if self.verdict == "holds only if" else ""
        return f"{self.claim.number}. {self.claim.statement.removesuffix('.')}{only}."

    def record(self) -> dict[str, Any]:
        """The row of the summary over all claims."""
        first = self.findings[0].record
        numbers = {key: first[key] for key in ("seeds", "estimate", "low", "high", "command")}
        return {"claim": self.sentence(), **numbers, "verdict": self.verdict}


def judge_all(folder: Path, claims: Sequence[Claim]) -> list[Judgement]:
    """Every claim of which something was run, by the summaries in a folder of results."""
    judged = []
    for claim in claims:
        run = [row for row in claim.rows if _summary(folder, row).is_file()]
        missing = tuple(row for row in claim.rows if row not in run)
        if run:
            judged.append(Judgement(claim, tuple(_find(folder, row) for row in run), missing))
    return judged


def _summary(folder: Path, row: Row) -> Path:
    return folder / row.experiment / "summary.json"


def _find(folder: Path, row: Row) -> Finding:
    records = json.loads(_summary(folder, row).read_text("utf-8"))
    start = f"{row.experiment}: {row.begins}"
    found = [
        record
        for record in records
        if record["claim"].startswith(start) and record["claim"].endswith(row.ends)
    ]
    if len(found) != 1:
        raise LookupError(
            f"{len(found)} conclusions of {row.experiment} begin with {row.begins!r}; one is needed"
        )
    return Finding(row, found[0])


_LOGITS, _CEILING, _API = "logits-and-tokens", "reinforcement-and-ceiling", "reinforcement-and-api"
_ROBUST, _SYNONYMS = "skill-and-safeguard", "known-synonyms"
_MEAN = "safeguard less matched control, change from plain, mean over all perturbations; "
_SKILL = "safeguard less skill, change from plain, mean over all perturbations; "

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "1",
        "logits-and-tokens",
        "Logits carry more than tokens: distillation beats fine-tuning on text for each exchange.",
        (
            Row(
                "the teacher has entropy",
                _LOGITS,
                "skill from all logits (KD) less skill from text (SFT); entropic teacher, sampled",
            ),
            Row(
                "the teacher is sharp",
                _LOGITS,
                "skill from all logits (KD) less skill from text (SFT); sharp teacher, sampled",
            ),
            Row(
                "five log-probabilities are shown",
                _LOGITS,
                "skill from top 5 log-probabilities less skill from text (SFT); entropic teacher, sampled",
            ),
        ),
    ),
    Claim(
        "2a",
        "reinforcement-and-ceiling",
        "On-policy reinforcement goes past the ceiling of fine-tuning on a teacher's text.",
        (
            Row("replies are sampled", _CEILING, "skill by text, then RL less the teacher's; "),
            Row(
                "the teacher is wrong on some tasks, also where replies are greedy",
                _API,
                "right answers where the teacher is wrong, greedy replies: student of its text and then RL less the teacher",
            ),
            Row(
                "replies are greedy and the teacher is right",
                _CEILING,
                "skill by text, then RL less the teacher's, greedy replies",
            ),
        ),
    ),
    Claim(
        "2b",
        "reinforcement-and-api",
        "What reinforcement gains cannot be taken through an API.",
        (
            Row(
                "it is the owner's, and replies are greedy",
                _API,
                "share of the owner's gain by RL that a student of the text has, where the teacher was wrong, greedy",
                contrary=True,
            ),
            Row(
                "it is the owner's, and replies are sampled",
                _API,
                "share of the owner's gain by RL that a student of the text has, where the teacher was wrong, sampled",
                contrary=True,
            ),
        ),
    ),
    Claim(
        "3",
        "skill-and-safeguard",
        "Capabilities transfer more robustly than safeguards.",
        (
            Row(
                "nothing is compared with a matched control",
                _ROBUST,
                f"{_SKILL}3200 exchanges, 10% of the exchanges to one safeguard and the control, none to the other",
            ),
            Row(
                "the safeguard is shown as often as the control it is compared with",
                _ROBUST,
                f"{_MEAN}3200 exchanges, 10% of the exchanges to one safeguard and the control, none to the other",
            ),
            Row(
                "two safeguards share a word and are compared with a control",
                _ROBUST,
                f"{_MEAN}3200 exchanges, 10% of the exchanges to each safeguard and the control",
                ends="to each safeguard and the control",
            ),
            Row(
                "the student knows synonyms beforehand and is compared with a control",
                _SYNONYMS,
                f"{_MEAN}student that knows synonyms",
            ),
        ),
    ),
    Claim(
        "4",
        "attribution",
        "Most of a student comes from the teacher's exchanges.",
        (
            Row(
                "its maker has as many examples of its own",
                "attribution",
                "share of the gain by the teacher's exchanges (Shapley), less one half; 200 exchanges and 200 own",
            ),
        ),
    ),
    Claim(
        "5",
        "countermeasures",
        "A countermeasure costs the student more than a temperature that costs the honest user as much.",
        tuple(
            Row(
                f"{what} and the student {does}",
                "countermeasures",
                f"{shown}, {habit} student of 300 exchanges: skill lost beyond",
            )
            for habit, does in (("passive", "takes what is shown"), ("adaptive", "adapts"))
            for shown, what in (
                ("reasoning hidden", "reasoning is hidden"),
                ("reasoning summarised", "reasoning is summarised"),
                ("trace rewritten", "the trace is rewritten"),
                ("antidistillation sampling", "words are sampled against distillation"),
                ("watermark", "text is watermarked"),
            )
        ),
    ),
    Claim(
        "6",
        "transcript-value",
        "The first tenth of a campaign's exchanges buys half of the teacher's gain.",
        tuple(
            Row(condition, "transcript-value", f"{shown}: share of the teacher's gain, less one half")
            for shown, condition in (
                ("answers, trace shown", "answers are asked for and the trace is shown"),
                ("elicited reasoning, trace hidden", "reasoning is elicited"),
                ("grades by a rubric, then RL", "grades are asked for"),
                ("trajectories of agents", "trajectories are asked for"),
            )
        ),
    ),
    Claim(
        "7",
        "agentic-traces",
        "The use of tools transfers as answers do.",
        (
            Row(
                "one counts what each exchange buys",
                "agentic-traces",
                "share of the teacher's gain in the use of tools less that in the same tasks answered; greedy",
            ),
            Row("tasks were never asked", "agentic-traces", "change on tasks that were never asked"),
            Row("the tool is busier than ever seen", "agentic-traces", "change with a tool that is busier"),
        ),
    ),
)

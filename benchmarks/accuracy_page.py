"""The page ``docs/accuracy.md``, out of scored scans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from accuracy_ablation import NOTHING
from accuracy_prompts import PROMPTS
from accuracy_scenarios import CALIBRATION_SEED, FIRST_SEED, SCENARIOS, Scenario
from accuracy_scoring import Campaign, Outcome
from intervals import LEVEL, upper_limit

UNSEEN = sum(len(texts) for texts in PROMPTS.values())


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the page says."""

    made: Mapping[str, str]
    """How the numbers were made: command, commit, machine, versions."""

    scenarios: Sequence[Scenario]
    outcomes: Sequence[Outcome]
    calibration: Mapping[str, Any] | None
    """What ``evidence_fitting.assess`` says of streams that no fit saw; None where it was not asked."""

    recipes: str
    """Name of the file of recipes, beside the page."""

    def of(self, scenario: Scenario) -> list[Outcome]:
        """One outcome for each log of a scenario: repeated scans are left out."""
        return [
            outcome
            for outcome in self.outcomes
            if outcome.scenario == scenario.name and not outcome.key and not outcome.order
        ]

    @property
    def logs(self) -> list[Outcome]:
        """One outcome for each log."""
        return [outcome for scenario in self.scenarios for outcome in self.of(scenario)]


def right(campaign: Campaign, scenario: Scenario) -> float:
    """Share of a campaign's principals with the right verdict."""
    also = campaign.undetermined if scenario.undetermined else 0
    return (campaign.accused + also) / campaign.principals


def write(report: Report) -> str:
    """The whole page."""
    sections = (
        _opening(report),
        _pairs(report),
        _found(report),
        _accused(report),
        _languages(report),
        _again(report),
        _failures(report),
        _ablation(report),
        _calibration(report),
        _limits(report),
    )
    return "\n".join(line for section in sections for line in section).rstrip() + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A table of Markdown, with the empty line after it."""
    lines = [head, ["---"] * len(head), *rows]
    return [*("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines), ""]


def share(part: float, whole: float) -> str:
    """A share with three places, or a dash where there is nothing to share."""
    return f"{part / whole:.3f}" if whole else "-"


def percent(rate: float) -> str:
    """A small rate in percent, two digits that count."""
    return f"{100 * rate:.0f}%" if rate >= 0.1 else f"{100 * rate:.2g}%"


def _opening(report: Report) -> list[str]:
    return [
        "# Accuracy",
        "",
        "Simulated logs are scanned with the defaults and the verdicts are held against the truth. This page is "
        "made by one command and not edited:",
        "",
        "```",
        report.made["command"],
        "```",
        "",
        *table(
            ["", ""],
            [[name, value] for name, value in report.made.items() if name not in ("command", "overlap")],
        ),
        *_held_out(report),
        "## Words",
        "",
        "Recall of a campaign: the share of all principals that its operator ever used, replaced ones and "
        "those who sent hardly anything included, that have the verdict `extraction`. Accused in error: a principal "
        "with that verdict who is no operator's, or a key of which only some end users are. Purity of an accused "
        "campaign: the share of its principals that belong to one operator. Told apart: nine in ten of an "
        "operator's accused principals are in one campaign, nine in ten of which are its own. Upper limits are "
        f"one-sided {LEVEL:.0%} limits of Clopper and Pearson (1934); principals of one log are not independent of "
        "each other, so the limit on logs is the one to trust.",
        "",
        "The recipe of every log, from which `stillwatch simulate --recipe` makes it again, is in "
        f"[{report.recipes}]({report.recipes}).",
        "",
    ]


def _held_out(report: Report) -> list[str]:
    copied = report.made["overlap"]
    return [
        "## What was held out, and what was not",
        "",
        "| part | what it was fitted on | is it held out here? |",
        "| --- | --- | --- |",
        "| curves of the evidence | logs of text source `a`, seeds from 100 | yes: other source, other seeds |",
        "| factor and start of the evidence | logs of source `b`, seeds from 3100 | in part: same source, other seeds |",
        "| objective model | among others **the operators' and honest templates of both sources, `a` and `b`** | **no**, "
        "for every scenario but those whose name ends in `_unseen` |",
        "",
        f"Every log here is of source `b` with a seed from {FIRST_SEED}: operators, people, seeds and times are new, "
        "but the words of the templates are not. The objective model was fitted on them (see "
        "[its card](objective-card.md)), so **recall in the scenarios on templates of source `b`, and the value of the "
        "signal `objective` there, are too kind**. So are the accusations in error in every scenario, those with unseen "
        "templates and the clean logs included: most of what the honest people of `b` send was fitted as asking for "
        "nothing. "
        "Logs of `b` were also looked at while the method was made.",
        "",
        "The scenarios whose name ends in `_unseen` plant templates that were written for this page and that no fit "
        f"reads. Checked in this run: {copied}. They are few ({UNSEEN} in English, one wording each, by one hand), and "
        "languages, recombined wordings and operators of several templates are not among them. Where the two disagree, "
        "believe these. All of it is simulation; nothing here was measured on the traffic of a real provider.",
        "",
    ]


def _pairs(report: Report) -> list[str]:
    """The scenarios that were run both ways, side by side."""
    by_name = {scenario.name: scenario for scenario in report.scenarios}
    rows = []
    for unseen in report.scenarios:
        if unseen.unseen in by_name:
            row: list[object] = [f"`{unseen.unseen}`"]
            for scenario in (by_name[unseen.unseen], unseen):
                campaigns = [campaign for outcome in report.of(scenario) for campaign in outcome.campaigns]
                recalls = [right(campaign, scenario) for campaign in campaigns]
                reached = sum(recall >= scenario.goal for recall in recalls)
                row += [f"{reached} of {len(recalls)}", f"{mean(recalls):.3f}"]
            rows.append(row)
    if not rows:
        return []
    head = ["scenario", "source `b`: reach the goal", "source `b`: mean recall", "unseen: reach the goal"]
    return [
        "## Templates that a fit has read, and unseen ones",
        "",
        "The logs of a pair have the same seeds, people and operators, and differ in the templates; in `careful` the "
        "unseen ones have one wording where the others have six, so that pair says less.",
        "",
        *table([*head, "unseen: mean recall"], rows),
    ]


def _found(report: Report) -> list[str]:
    rows = []
    for scenario in report.scenarios:
        outcomes = report.of(scenario)
        campaigns = [campaign for outcome in outcomes for campaign in outcome.campaigns]
        if not campaigns:
            continue
        recalls = [right(campaign, scenario) for campaign in campaigns]
        planted = sum(campaign.planted for campaign in campaigns)
        matched = sum(campaign.matched for campaign in campaigns)
        reached = sum(recall >= scenario.goal for recall in recalls)
        rows.append(
            [
                f"`{scenario.name}`" + (" *" if scenario.undetermined else ""),
                scenario.about,
                len(outcomes),
                f"{min(recalls):.3f}",
                f"{mean(recalls):.3f}",
                f"{scenario.goal:.2f}",
                f"{reached} of {len(campaigns)}",
                f"{sum(campaign.apart for campaign in campaigns)} of {len(campaigns)}",
                share(matched, sum(outcome.matches for outcome in outcomes)),
                share(matched, planted),
            ]
        )
    head = [
        "scenario",
        "what is planted",
        "logs",
        "least recall",
        "mean recall",
        "goal",
        "campaigns that reach it",
    ]
    head += ["told apart", "precision of matched exchanges", "recall of matched exchanges"]
    return [
        "## Campaigns found",
        "",
        *table(head, rows),
        "Matched exchanges are those that the scan names as a campaign's, over all campaigns of the scenario: "
        "precision is the share that was planted, recall the share of the planted ones that is named.",
        "",
        *(["\\* `undetermined` counts as right: such a template asks for no training data.", ""]
          if any(scenario.undetermined for scenario in report.scenarios) else []),
    ]  # fmt: skip


def _accused(report: Report) -> list[str]:
    rows = [_error_row(f"`{s.name}`", report.of(s)) for s in report.scenarios if report.of(s)]
    clean = [outcome for outcome in report.logs if not outcome.campaigns]
    planted = [outcome for outcome in report.logs if outcome.campaigns]
    if clean and planted:
        rows.append(_error_row("**all with campaigns**", planted))
    if report.logs:
        rows.append(_error_row("**all**", report.logs))
    head = [
        "scenario",
        "innocent principals",
        "accused in error",
        "at most",
        "logs",
        "logs with an error",
        "at most",
    ]
    return ["## Accused in error", "", *table([*head, "least purity", "mean purity"], rows)]


def _error_row(name: str, outcomes: Sequence[Outcome]) -> list[object]:
    innocents, falsely = sum(o.innocents for o in outcomes), sum(o.falsely for o in outcomes)
    wrong = sum(o.falsely > 0 for o in outcomes)
    purities = [purity for outcome in outcomes for purity in outcome.purities]
    return [
        name,
        f"{innocents:,}",
        falsely,
        percent(upper_limit(min(falsely, innocents), innocents)),
        len(outcomes),
        wrong,
        percent(upper_limit(wrong, len(outcomes))),
        f"{min(purities):.3f}" if purities else "-",
        f"{mean(purities):.3f}" if purities else "-",
    ]


def _languages(report: Report) -> list[str]:
    scenario = next((s for s in report.scenarios if s.name == "languages"), None)
    if scenario is None:
        return []
    campaigns = [campaign for outcome in report.of(scenario) for campaign in outcome.campaigns]
    rows = []
    for language in dict.fromkeys(campaign.language for campaign in campaigns):
        recalls = [right(one, scenario) for one in campaigns if one.language == language]
        rows.append([f"`{language}`", len(recalls), f"{min(recalls):.3f}", f"{mean(recalls):.3f}"])
    return ["## Languages", "", *table(["language", "campaigns", "least recall", "mean recall"], rows)]


def _again(report: Report) -> list[str]:
    scenario = next((s for s in report.scenarios if s.again), None)
    if scenario is None or not report.of(scenario):
        return []
    first = report.of(scenario)[0]
    rows, differing = [], 0
    scans = [o for o in report.outcomes if o.scenario == scenario.name and o.name == first.name]
    for outcome in scans:
        names = first.verdicts.keys() | outcome.verdicts.keys()
        other = [n for n in names if first.verdicts.get(n) != outcome.verdicts.get(n)]
        accused = [n for n in other if "extraction" in (first.verdicts.get(n), outcome.verdicts.get(n))]
        differing += bool(accused)
        rows.append(
            [
                outcome.key + 1,
                "time" if not outcome.order else f"shuffled, {outcome.order}",
                f"{min((right(campaign, scenario) for campaign in outcome.campaigns), default=0):.3f}",
                outcome.falsely,
                len(accused),
                len(other),
            ]
        )
    head = [
        "key",
        "order of rows",
        "least recall",
        "accused in error",
        "accusations that differ from the first scan",
    ]
    return [
        "## Other keys, other orders of rows",
        "",
        f"One log was scanned {len(scans)} times. {len(scans) - 1 - differing} of the {len(scans) - 1} other scans "
        "accuse exactly the principals that the first one accuses.",
        "",
        *table([*head, "verdicts that differ, of any kind"], rows),
    ]


def _failures(report: Report) -> list[str]:
    missed, mixed, accused = [], [], []
    for scenario in report.scenarios:
        for outcome in report.of(scenario):
            for campaign in outcome.campaigns:
                what = f"`{outcome.name}` {campaign.operator} ({campaign.about})"
                if right(campaign, scenario) < scenario.goal:
                    missed.append(
                        f"- {what}: {campaign.accused} of {campaign.principals} accused, {campaign.undetermined} "
                        f"undetermined. {campaign.explanation}."
                    )
                elif campaign.accused and not campaign.apart:
                    mixed.append(
                        f"- {what}: its principals are accused, but not as one campaign of their own."
                    )
    accused = [
        f"- `{outcome.name}`{_under(outcome)}: {text}."
        for outcome in report.outcomes
        for text in outcome.accusations
    ]
    parts = (
        ("Campaigns below the goal", missed),
        ("Found, and not told apart", mixed),
        ("Accused in error", accused),
    )
    lines = ["## Failures", ""]
    for title, items in parts:
        lines += [f"**{title}: {len(items)}.**", "", *items, *([""] if items else [])]
    return lines


def _under(outcome: Outcome) -> str:
    return f", key {outcome.key + 1}, order {outcome.order}" if outcome.key or outcome.order else ""


def _ablation(report: Report) -> list[str]:
    goals = {scenario.name: scenario for scenario in report.scenarios if not scenario.undetermined}
    logs = [outcome for outcome in report.logs if outcome.scenario in goals]
    rows = []
    for name in dict.fromkeys(removal.removed for outcome in logs for removal in outcome.removals):
        recalls, reached, falsely, wrong = [], 0, 0, 0
        for outcome in logs:
            removal = next(removal for removal in outcome.removals if removal.removed == name)
            falsely, wrong = falsely + removal.falsely, wrong + (removal.falsely > 0)
            for campaign in outcome.campaigns:
                recalls.append(removal.accused.get(campaign.operator, 0) / campaign.principals)
                reached += recalls[-1] >= goals[outcome.scenario].goal
        found = f"{reached} of {len(recalls)}"
        label = name if name == NOTHING or name.startswith("(") else f"`{name}`"
        rows.append([label, found, f"{mean(recalls):.3f}" if recalls else "-", falsely, wrong])
    head = [
        "without",
        "campaigns that reach their goal",
        "mean recall",
        "accused in error",
        "logs with an error",
    ]
    return [
        "## What each signal is for",
        "",
        "The curve of one signal is set to zero bits, or one bar is taken away, and every group is ruled on again. "
        "Families, groups and measured values stay as they were, so this shows what a signal does to the ruling "
        "and not what it does to the grouping. A signal that can be left out without loss here may still carry an "
        "operator who imitates the others. Logs in which `undetermined` is right are left out.",
        "",
        *table(head, rows),
    ]


def _calibration(report: Report) -> list[str]:
    lines = ["## Log loss and calibration", ""]
    if report.calibration is None:
        return [*lines, "Not measured in this run.", ""]
    found = report.calibration
    lines += [
        f"On {found['positive']:,} families of operators and {found['negative']:,} of the innocent, from logs with "
        f"operators drawn at random (source `b`, seeds from {CALIBRATION_SEED}), reweighted to two prevalences. The "
        "objective model was fitted on these templates, so both numbers are too kind. "
        "The log loss stands beside that of always saying the prevalence. Calibration is shown where the "
        "probability is between 0.05 and 0.95; a range without a family is left out.",
        "",
    ]
    losses, bins = [], []
    for name, part in found.items():
        if not name.startswith("at "):
            continue
        prevalence = name.removeprefix("at ")
        losses.append([prevalence, f"{part['log_loss']:.3g}", f"{part['log_loss_of_prevalence']:.3g}"])
        bins += [
            [
                prevalence,
                f"{one['from']:g} to {one['to']:g}",
                one["streams"],
                f"{one['said']:.3f}",
                f"{one['is']:.3f}",
            ]
            for one in part["calibration"]
        ]
    lines += table(["prevalence", "log loss, nats", "log loss of the prevalence alone, nats"], losses)
    return lines + table(
        ["prevalence", "probability said", "families", "mean said", "share that is extraction"], bins
    )


def _limits(report: Report) -> list[str]:
    run = {scenario.name for scenario in report.scenarios}
    left = [f"`{scenario.name}`" for scenario in SCENARIOS if scenario.name not in run]
    return [
        "## What this does not show",
        "",
        "- Real traffic. The innocent here are as varied as the [arena](arena.md) makes them.",
        "- An operator who imitates how unrelated people differ (the signals `mixing`, `pacing` and `routine`) and "
        "nothing else: the arena has none. Operators with human hours and uneven load do so in part.",
        "- The chance that a scan of clean traffic accuses anybody, beyond what the limit on clean logs says: the "
        "threshold is not calibrated on logs.",
        *([f"- Scenarios that this run left out: {', '.join(left)}."] if left else []),
        "",
    ]

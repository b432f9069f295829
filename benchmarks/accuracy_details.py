"""The second half of the accuracy page: languages, keys, failures, ablation, calibration."""

from __future__ import annotations

from statistics import mean

from accuracy_ablation import NOTHING
from accuracy_report import Report, right, table
from accuracy_scenarios import CALIBRATION_SEED, SCENARIOS
from accuracy_scoring import Outcome


def languages(report: Report) -> list[str]:
    """Recall by language."""
    scenario = next((s for s in report.scenarios if s.name == "languages"), None)
    if scenario is None:
        return []
    campaigns = [campaign for outcome in report.of(scenario) for campaign in outcome.campaigns]
    rows = []
    for language in dict.fromkeys(campaign.language for campaign in campaigns):
        recalls = [right(one, scenario) for one in campaigns if one.language == language]
        rows.append([f"`{language}`", len(recalls), f"{min(recalls):.3f}", f"{mean(recalls):.3f}"])
    return ["## Languages", "", *table(["language", "campaigns", "least recall", "mean recall"], rows)]


def again(report: Report) -> list[str]:
    """The same log under other keys and in other orders of its rows."""
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


def failures(report: Report) -> list[str]:
    """Every campaign that was missed or mixed, and every accusation in error, with its grounds."""
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


def ablation(report: Report) -> list[str]:
    """What is lost without each signal."""
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


def calibration(report: Report) -> list[str]:
    """Log loss, and how often what was called probable is so."""
    lines = ["## Log loss and calibration", ""]
    if report.calibration is None:
        return [*lines, "Not measured in this run.", ""]
    found = report.calibration
    lines += [
        f"On {found['positive']:,} families of operators and {found['negative']:,} of the innocent, from logs with "
        f"operators drawn at random (source `b`, seeds from {CALIBRATION_SEED}), reweighted to two prevalences. The "
        "objective model was fitted on these templates, so this is not held out and may be too kind. "
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


def limits(report: Report) -> list[str]:
    """What these numbers do not say."""
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

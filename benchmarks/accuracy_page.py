"""The page ``docs/accuracy.md``, out of scored scans."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from accuracy_details import ablation, again, calibration, failures, languages, limits
from accuracy_prompts import PROMPTS
from accuracy_report import Report, percent, right, share, table
from accuracy_scenarios import FIRST_SEED
from accuracy_scoring import Campaign, Outcome
from intervals import LEVEL, upper_limit

UNSEEN = sum(len(texts) for texts in PROMPTS.values())


def write(report: Report) -> str:
    """The whole page."""
    sections = (
        _opening(report),
        _pairs(report),
        _found(report),
        _accused(report),
        languages(report),
        again(report),
        failures(report),
        ablation(report),
        calibration(report),
        limits(report),
    )
    return "\n".join(line for section in sections for line in section).rstrip() + "\n"


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
        "those who sent nothing of it included, that have the verdict `extraction`; of who sent any: the same of those "
        "through whom any exchange of the campaign came. Accused in error: a principal "
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
        "[its card](objective-card.md)), so **recall on templates of source `b`, and the signal `objective` there, are "
        "not held out and may be too kind**. The same goes for accusations in error in every scenario, those with "
        "unseen templates and the clean logs included: most of what the honest people of `b` send was fitted as asking "
        "for nothing. Logs of `b` were also looked at while the method was made.",
        "",
        "The scenarios whose name ends in `_unseen` plant templates that were written for this page and that no fit "
        f"reads. Checked in this run: {copied}. They are few ({UNSEEN} in English, one wording each, by one hand that "
        "knew the list of objectives), and languages, recombined wordings and operators of several templates are not "
        "among them. Where the two disagree, believe these. All of it is simulation; nothing here was measured on the "
        "traffic of a real provider.",
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
                row += [
                    f"{mean(one.intent for one in campaigns):.2f}",
                    f"{min(one.bits for one in campaigns):+.1f}",
                ]
            rows.append(row)
    if not rows:
        return []
    ways = ("`b`", "unseen")
    head = [
        f"{way}: {what}"
        for way in ways
        for what in ("reach the goal", "mean recall", "mean intent", "least bits")
    ]
    return [
        "## Templates that a fit has read, and unseen ones",
        "",
        "The logs of a pair have the same seeds, people, operators and times, and differ in the templates; in `careful` "
        "the unseen ones have one wording where the others have six. Once a template is caught whole, the times alone "
        "decide who is accused with it, so equal recall says that both passed the bars and no more: what a fit has read "
        "shows in the intent (value of the signal `objective`) and in the bits of the stream that speaks for a campaign.",
        "",
        *table(["scenario", *head], rows),
    ]


def _of_senders(campaign: Campaign) -> float:
    return campaign.senders_accused / campaign.senders


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
                "-" if scenario.undetermined else f"{min(map(_of_senders, campaigns)):.3f}",
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
    head += [
        "least recall of who sent any",
        "told apart",
        "precision of matched exchanges",
        "recall of matched exchanges",
    ]
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
    # The two logs of a pair have the same innocent people: they count once.
    repeated = {scenario.name for scenario in report.scenarios if report.has(scenario.unseen)}
    different = [outcome for outcome in report.logs if outcome.scenario not in repeated]
    clean = [outcome for outcome in different if not outcome.campaigns]
    planted = [outcome for outcome in different if outcome.campaigns]
    if clean and planted:
        rows.append(_error_row("**all with campaigns**", planted))
    if different:
        rows.append(_error_row("**all**", different))
    head = [
        "scenario",
        "innocent principals",
        "accused in error",
        "at most",
        "logs",
        "logs with an error",
        "at most",
    ]
    return [
        "## Accused in error",
        "",
        *table([*head, "least purity", "mean purity"], rows),
        "The last rows leave out the scenarios with unseen templates, whose innocent people are those of their pair.",
        "",
    ]


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

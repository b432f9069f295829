"""What is said about the lab's claims, as text by path: the summary over all, a page each, and the curves of lab value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from stillwatch.lab.claims import CLAIMS, Judgement, judge_all


def made(root: Path) -> dict[Path, str]:
    """Every file that follows from the results in ``experiments/lab``."""
    results = root / "experiments" / "lab"
    judged = judge_all(results, CLAIMS)
    found = {root / "experiments" / "summary.json": as_json([one.record() for one in judged])}
    for one in judged:
        name = f"claim-{one.claim.number}-{one.claim.name}.md"
        found[root / "experiments" / name] = page(one, results)
    found[root / "src" / "stillwatch" / "lab" / "curves.json"] = as_json(measured_curves(results))
    return found


def measured_curves(results: Path) -> dict[str, Any]:
    """The curves of gain against exchanges, of all committed outcomes that have some."""
    # Only here, since the experiments need torch.
    from stillwatch.lab.experiments import all_experiments
    from stillwatch.lab.experiments.outcomes import Outcomes

    found: dict[str, Any] = {}
    for name, experiment in all_experiments().items():
        table = results / name / "results.parquet"
        if hasattr(experiment, "curves") and table.is_file():
            found |= experiment.curves(Outcomes(pq.read_table(table)))
    return found


def as_json(content: object) -> str:
    """JSON with one row a line, so that a difference can be read."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def page(judged: Judgement, results: Path) -> str:
    """One claim: its verdict, on what it stands, and the pictures."""
    claim = judged.claim
    experiments = list(dict.fromkeys(finding.row.experiment for finding in judged.findings))
    rows = [
        f"| {finding.row.condition} | {_what(finding.record)} | {_interval(finding.record)} | {finding.record['seeds']} | "
        f"{'yes' if finding.holds else _no(finding.record)} |"
        for finding in judged.findings
    ]
    parts = [
        f"# Claim {claim.number}: {claim.statement}",
        f"**{judged.verdict.capitalize()}{_only(judged)}.** Measured on small models that were trained for it: a lead for "
        "large ones, and no proof.",
        "| only if | what was compared | estimate (95% interval) | seeds | does the claim hold here |\n"
        "| --- | --- | --- | --- | --- |\n" + "\n".join(rows),
    ]
    if judged.not_run:
        parts.append(
            f"Not run yet: {'; '.join(f'{row.condition} ({row.experiment})' for row in judged.not_run)}."
        )
    for name in experiments:
        command = json.loads((results / name / "summary.json").read_text("utf-8"))[0]["command"]
        parts.append(f"## {name}\n\n`{command}`\n\n[All comparisons](lab/{name}/index.html), as numbers: "
                     f"[summary](lab/{name}/summary.json), [every hit](lab/{name}/results.parquet).")  # fmt: skip
        parts += [
            f"![{path.stem}](lab/{name}/{path.name})" for path in sorted((results / name).glob("*.svg"))
        ]
    parts.append("*Made by `scripts/make_experiments` from the results.*")
    return "\n\n".join(parts) + "\n"


def _only(judged: Judgement) -> str:
    return f": {'; or if '.join(judged.conditions)}" if judged.verdict == "holds only if" else ""


def _what(record: Mapping[str, Any]) -> str:
    return str(record["claim"].split(": ", 1)[1])


def _interval(record: Mapping[str, Any]) -> str:
    return f"{record['estimate']:+.3f} ({record['low']:+.3f} to {record['high']:+.3f})"


def _no(record: Mapping[str, Any]) -> str:
    return "undecided" if "undecided" in record["verdict"] else "no"

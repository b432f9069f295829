"""One trial of the accuracy benchmark: simulate a log, scan it, and hold the verdicts against the truth."""

from __future__ import annotations

import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from accuracy_ablation import Removal, remove_each
from accuracy_explanations import explain_accusation, explain_miss, stand, strength
from accuracy_scenarios import Trial
from accuracy_truth import Principal, Truth, read_truth
from stillwatch import findings
from stillwatch.arena import simulate
from stillwatch.examine import Options, Scanned, examine
from stillwatch.families.fragments import Presence
from stillwatch.judging import Judged, judge
from stillwatch.keys import Keys
from stillwatch.rejects import RejectLog
from stillwatch.sketching import Source, sketch_log
from stillwatch.spool import Spool
from stillwatch.verdict import Verdict

TOGETHER = 0.9
"""An operator is told apart if this share of its accused principals is in one campaign, of which this share is
its own."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """One planted campaign, and what became of it."""

    operator: str
    about: str
    """Objectives, language and camouflage."""

    language: str
    principals: int
    """All that the operator ever used, whatever they sent."""

    accused: int
    undetermined: int
    senders: int
    """Principals that sent any exchange of the campaign."""

    senders_accused: int
    planted: int
    """Exchanges that it collected."""

    matched: int
    """Those of them that the scan names as matching."""

    apart: bool
    """Whether its accused principals are one campaign of their own."""

    bits: float
    """Evidence of the stream that speaks for it."""

    intent: float
    """Value of the objective signal there."""

    explanation: str
    """Why principals were missed; empty where the goal was reached."""

    @property
    def recall(self) -> float:
        """Share of the principals that are accused."""
        return self.accused / self.principals


@dataclass(frozen=True, slots=True)
class Outcome:
    """One scan, scored."""

    scenario: str
    name: str
    key: int
    order: int
    exchanges: int
    innocents: int
    """Innocent principals of the log."""

    campaigns: list[Campaign]
    accusations: list[str]
    """An explanation for each campaign of the result that accuses innocent principals."""

    falsely: int
    """Innocent principals that are accused, and keys of which not all users are an operator's."""

    purities: list[float]
    """For each campaign with the verdict extraction: share of its principals that belong to its main operator."""

    matches: int
    """Exchanges that the scan names as matching a campaign."""

    removals: list[Removal]
    """What the verdicts would be without each signal."""

    verdicts: dict[str, str] = field(default_factory=dict)
    """Verdict of each principal that has one other than none; kept where scans of one log are compared."""

    simulate_s: float = 0.0
    scan_s: float = 0.0


def run(trial: Trial, folder: Path, compare: bool) -> Outcome:
    """Simulate the log of a trial into a temporary folder, scan it, and score the result.

    ``compare``: keep all verdicts, for a comparison with other scans of the same log.
    """
    with tempfile.TemporaryDirectory(dir=folder) as name:
        log = Path(name)
        started = time.perf_counter()
        simulate(trial.recipe, log)
        if trial.order:
            _shuffle(log / "exchanges.parquet", trial.order)
        simulated = time.perf_counter()
        truth = read_truth(log / "truth.parquet", "identities" not in trial.recipe.withhold)
        options = Options()
        keys = Keys(local=f"a key of the accuracy benchmark, number {trial.key}".encode())
        source = Source((log / "exchanges.parquet",))
        scanning = time.perf_counter()
        with Spool(log) as spool, RejectLog(None) as rejects:
            presence = Presence(options.rule.least_principals)
            for batch in sketch_log(source, keys, rejects):
                spool.write(batch)
                presence.observe(batch)
            scanned = examine(spool, presence, options)
            result = findings.state(scanned, source, keys, rejects, options)
            scan_s = time.perf_counter() - scanning
            groups = judge(scanned, scanned.merged, scanned.groups.judged, scanned.by_group, options)
            return _score(
                trial, truth, scanned, groups, result, options, compare, (simulated - started, scan_s)
            )


def _shuffle(path: Path, order: int) -> None:
    """Write the rows of a log in another order."""
    table = pq.read_table(path)
    rows = np.random.default_rng(order).permutation(table.num_rows)
    pq.write_table(table.take(pa.array(rows)), path, compression="zstd", compression_level=1)


def _score(
    trial: Trial,
    truth: Truth,
    scanned: Scanned,
    groups: list[Judged],
    result: findings.Result,
    options: Options,
    compare: bool,
    seconds: tuple[float, float],
) -> Outcome:
    verdicts, campaign_of, sent = _verdicts(result.accounts)
    accused = {principal for principal, verdict in verdicts.items() if verdict == Verdict.EXTRACTION}
    wrongly = {principal for principal in accused if truth.innocent(principal)}
    inside: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for principal in accused:
        inside[campaign_of[principal]][truth.owner_of(principal)] += 1
    matched = set(result.matches["exchange_id"].to_pylist())
    campaigns = []
    for operator in trial.recipe.operators:
        members = truth.principals_of(operator.name)
        found = members & accused
        planted = truth.planted[operator.name]
        standing = stand(operator.name, truth, scanned, groups)
        bits, intent = strength(standing, scanned, groups)
        missed = len(found) < trial.goal * len(members)
        campaigns.append(
            Campaign(
                operator=operator.name,
                about=(
                    f"{' + '.join(operator.objectives)}, {operator.language}, "
                    f"{operator.camouflage:.0%} camouflage, {operator.accounts} accounts"
                ),
                language=operator.language,
                principals=len(members),
                accused=len(found),
                undetermined=sum(verdicts.get(one) == Verdict.UNDETERMINED for one in members),
                senders=len(truth.senders[operator.name]),
                senders_accused=len(truth.senders[operator.name] & accused),
                planted=len(planted),
                matched=len(planted & matched),
                apart=_apart(operator.name, inside),
                bits=bits,
                intent=intent,
                explanation=explain_miss(operator.name, truth, scanned, groups, options, standing)
                if missed
                else "",
            )
        )
    by_campaign: defaultdict[str, dict[Principal, int]] = defaultdict(dict)
    for principal in sorted(wrongly, key=str):
        by_campaign[campaign_of[principal]][principal] = sent[principal]
    described = {campaign["campaign_id"]: campaign for campaign in result.campaigns}
    return Outcome(
        scenario=trial.scenario,
        name=trial.name,
        key=trial.key,
        order=trial.order,
        exchanges=scanned.sketches.num_rows,
        innocents=len(truth.population) - len(truth.operator),
        campaigns=campaigns,
        accusations=[
            explain_accusation(group, described[name], inside[name], truth)
            for name, group in by_campaign.items()
        ],
        falsely=len(wrongly),
        purities=[
            max((n for name, n in held.items() if name), default=0) / sum(held.values())
            for held in inside.values()
        ],
        matches=len(matched),
        removals=remove_each(scanned, truth, options),
        verdicts={_spell(one): verdict for one, verdict in verdicts.items()} if compare else {},
        simulate_s=seconds[0],
        scan_s=seconds[1],
    )


def _verdicts(accounts: pa.Table) -> tuple[dict[Principal, str], dict[Principal, str], dict[Principal, int]]:
    """Verdict, campaign and exchanges in it of every row of ``accounts.parquet`` with a verdict but none."""
    names = ("account_id", "end_user_id", "verdict", "campaign_id", "extraction_exchanges")
    verdicts, campaigns, sent = {}, {}, {}
    for account, user, verdict, campaign, count in zip(
        *(accounts[name].to_pylist() for name in names), strict=True
    ):
        if verdict != Verdict.NONE:
            verdicts[account, user] = verdict
            campaigns[account, user] = campaign
            sent[account, user] = count
    return verdicts, campaigns, sent


def _apart(operator: str, inside: dict[str, Counter[str]]) -> bool:
    """Whether an operator's accused principals are one campaign, and nobody else's."""
    own = {name: held[operator] for name, held in inside.items() if held[operator]}
    if not own:
        return False
    main = max(own, key=lambda name: (own[name], name))
    together = own[main] >= TOGETHER * sum(own.values())
    return together and own[main] >= TOGETHER * sum(inside[main].values())


def _spell(principal: Principal) -> str:
    return principal[0] if principal[1] is None else f"{principal[0]}/{principal[1]}"

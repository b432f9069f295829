"""A scan's result as the report tests see it: two extraction campaigns and one that stays open."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

START = datetime(2026, 2, 2, tzinfo=UTC)
PRIOR = 0.001
MODELS = ("lumen-4", "lumen-5")
RELEASE = {"model": "lumen-5", "at": "2026-02-12T16:00:00Z"}


def iso(hours: float) -> str:
    return (START + timedelta(hours=float(hours))).strftime("%Y-%m-%dT%H:%M:%SZ")


def probability(prior: float, bits: float) -> float:
    odds = prior / (1 - prior) * 2.0**bits
    return odds / (1 + odds)


def evidence(signal: str, bits: float, value: float, n: int, reason: str, innocent: str) -> dict[str, Any]:
    return {
        "signal": signal,
        "value": value,
        "n": n,
        "bits": bits,
        "reason": reason,
        "innocent_range": innocent,
    }


def principals(
    number: int, days: int, exchanges: int, generator: np.random.Generator
) -> list[dict[str, Any]]:
    """Most begin within hours of each other; one in eight ends early and is replaced the same day."""
    rows = []
    for place in range(number):
        begin, end = generator.uniform(0, 9), days * 24 - generator.uniform(1, 30)
        if place % 8 == 0:
            end = generator.uniform(60, days * 24 - 80)
        elif place % 8 == 1 and rows:
            begin = (datetime.fromisoformat(rows[-1]["last_seen"]) - START).total_seconds() / 3600 + 5
        extraction = int(generator.poisson(exchanges / number))
        rows.append(
            {
                "account_id": f"acct-{generator.integers(16**6):06x}",
                "end_user_id": None,
                "exchanges": extraction + int(generator.integers(0, 9 * extraction + 2)),
                "extraction_exchanges": extraction,
                "first_seen": iso(begin),
                "last_seen": iso(end),
                "probability": float(1 - generator.uniform(0.0001, 0.01)),
            }
        )
    return rows


def timeline(
    names: dict[str, float], days: int, exchanges: int, generator: np.random.Generator
) -> dict[str, Any]:
    hours = np.arange(days * 24)
    pace = 1 + 0.25 * np.sin(hours / 24 * 2 * np.pi) + (hours > 256) * 0.5
    series = [
        {"name": name, "counts": generator.poisson(pace / pace.sum() * exchanges * part).tolist()}
        for name, part in names.items()
    ]
    return {
        "step_seconds": 3600,
        "start": iso(0),
        "series": series,
        "releases": [RELEASE],
        "replaced": [iso(70), iso(75)],
    }


def closest(family: str, verdict: str, bits: float, reason: str, differs: list[str]) -> dict[str, Any]:
    return {
        "family_id": family,
        "verdict": verdict,
        "evidence_bits": bits,
        "needed_bits": 14.5,
        "exchanges": 4210,
        "principals": 187,
        "reasons": [reason],
        "differs": differs,
    }


INNOCENT = [
    closest(
        "f-3b70aa91",
        "shared_client",
        6.2,
        "A public writing client sends its system prompt for all of its users.",
        ["fillers recur in 41% of its exchanges", "its hours follow the users' day", "no companion family"],
    ),
    closest(
        "f-90d1c4e7",
        "evaluation",
        4.8,
        "Nineteen accounts run the same 1,319 benchmark items in full, several times.",
        ["the same items are repeated in full", "each account stops after the last item"],
    ),
]


def campaign(
    identity: str,
    verdict: str,
    items: list[dict[str, Any]],
    number: int,
    exchanges: int,
    days: int,
    **changes: Any,
) -> dict[str, Any]:
    generator = np.random.default_rng(number)
    bits = round(sum(item["bits"] for item in items), 2)
    names = changes.pop("objectives", {"elicited_reasoning": 0.97, "none": 0.03})
    result = {
        "campaign_id": identity,
        "verdict": verdict,
        "probability": probability(PRIOR, bits),
        "evidence_bits": bits,
        "prior": PRIOR,
        "threshold_probability": 0.99,
        "posterior": [
            {"prior": prior, "probability": probability(prior, bits)} for prior in (1e-5, 1e-3, 1e-2)
        ],
        "first_seen": iso(0.2),
        "last_seen": iso(days * 24 - 1.4),
        "consent": {
            "status": "unknown",
            "reason": "No organization declared these accounts.",
        },
        "scale": {
            "exchanges": exchanges,
            "input_tokens": exchanges * 412,
            "output_tokens": exchanges * 1180,
            "principals": number,
            "accounts": number,
            "share_of_traffic": exchanges / 196000,
            "models": [
                {"model": MODELS[1], "exchanges": exchanges - exchanges // 3},
                {"model": MODELS[0], "exchanges": exchanges // 3},
            ],
            "reason": f"{exchanges:,} exchanges by {number} accounts; the median family has 14 by 3.",
        },
        "intent": {
            "objectives": [{"name": name, "share": share} for name, share in names.items()],
            "coverage": 0.013,
            "reason": "The template asks for a written-out chain of reasoning; broad topics fill it.",
        },
        "evidence": items,
        "silent": [
            {"signal": "infrastructure", "why": "the log has no payment_fingerprint, ip or tls_fingerprint"},
            {"signal": "reach", "why": "the log has no country"},
        ],
        "families": [
            {
                "family_id": "f-5f0a12cd",
                "role": "system",
                "exchanges": exchanges,
                "principals": number,
                "objective": "elicited_reasoning",
            },
            {
                "family_id": "f-77ac0e13",
                "role": "new",
                "exchanges": exchanges // 4,
                "principals": number - 3,
                "objective": "rubric_grading",
            },
        ],
        "links": [
            {
                "kind": "companions",
                "families": ["f-5f0a12cd", "f-77ac0e13"],
                "bits": 9.1,
                "reason": f"{number - 3} of {number} accounts send both; by chance 0.2 would.",
            }
        ],
        "timeline": timeline(names, days, exchanges, generator),
        "principals": principals(number, days, exchanges, generator)[:200],
        "principals_cut": max(0, number - 200),
        "exemplars": [
            {
                "exchange_id": "x-00412977",
                "role": "system",
                "spans": [
                    {
                        "text": "You are an expert data analyst. Deliver data-driven insights grounded in ",
                        "shared": True,
                    },
                    {"text": "complete and transparent reasoning. ", "shared": True},
                    {"text": "▇▇▇ (31 words)", "shared": False},
                ],
            }
        ],
        "reasons": [
            f"{number} accounts that share no declared owner send one template asking for reasoning.",
            "5,021 seeds were measured; 1.3% recur, where users of a public client recur in 27% to 62%.",
            "Load is spread as a dispatcher spreads it: the busiest tenth of the accounts sends 12% of it.",
            "Traffic runs round the clock, seven days a week.",
        ],
        "counter_evidence": [
            "The accounts were opened over eleven months, as those of unrelated customers are.",
            "No payment, network or client fingerprint could be compared.",
        ],
        "closest_innocent": INNOCENT,
        "would_change": [
            "A declaration by one owner, or an entry in the registry, would make it licensed.",
            "If the seeds proved to be one public benchmark, it would be an evaluation.",
            "With hours of a working day and fillers recurring in 8%, it would fall to 71%.",
        ],
    }
    return result | changes


STRONG = [
    evidence("objective", 6.1, 0.97, 50112, "97% of the exchanges ask for elicited reasoning.", "0% to 12%"),
    evidence(
        "coverage", 5.2, 0.013, 5021, "Seeds are used once each over all accounts; 1.3% recur.", "2% to 62%"
    ),
    evidence("load", 3.1, 0.09, 412, "Exchanges spread evenly over the accounts (Gini 0.09).", "0.45 to 0.9"),
    evidence("companions", 4.4, 11.0, 412, "409 accounts share another rare family.", "0 to 2"),
    evidence(
        "rhythm", 2.6, 0.22, 50112, "The hours are nearly flat (variation 0.22 over the day).", "0.9 to 2"
    ),
    evidence(
        "lockstep", -1.3, 0.04, 412, "Accounts were opened over eleven months, not together.", "0 to 0.1"
    ),
]
WEAKER = [
    evidence(
        "objective", 6.4, 0.99, 12300, "99% of the exchanges ask for grading against a rubric.", "0% to 12%"
    ),
    evidence("coverage", 4.9, 0.02, 3110, "Seeds are used about once each; 2.0% recur.", "2% to 62%"),
    evidence("companions", 3.2, 4.0, 68, "61 accounts share another rare family.", "0 to 2"),
    evidence(
        "pivot",
        3.9,
        0.46,
        68,
        "46% of the traffic moved to lumen-5 within 19 hours of its release.",
        "0% to 8%",
    ),
    evidence("load", -0.8, 0.41, 68, "Load is uneven (Gini 0.41), as among customers.", "0.45 to 0.9"),
    evidence("rhythm", -0.7, 0.9, 12300, "The hours follow a working day (variation 0.90).", "0.9 to 2"),
]
OPEN = [
    evidence(
        "objective",
        6.0,
        0.94,
        2210,
        "94% of the exchanges ask for worked solutions in mathematics.",
        "0% to 12%",
    ),
    evidence(
        "coverage", 1.2, 0.04, 210, "4.0% of the seeds recur; with 210 seeds this says little.", "2% to 62%"
    ),
    evidence("load", 2.1, 0.2, 9, "Exchanges spread evenly over nine accounts.", "0.45 to 0.9"),
    evidence("rhythm", 2.2, 0.3, 2210, "Runs at night, at an even pace.", "0.9 to 2"),
    evidence("companions", -2.4, 0.0, 9, "The accounts share no other family.", "0 to 2"),
]


def campaigns() -> list[dict[str, Any]]:
    return [
        campaign(
            "c-b3902e11",
            "extraction",
            WEAKER,
            68,
            12300,
            16,
            objectives={"rubric_grading": 0.71, "pairwise_preference": 0.28},
            counter_evidence=[
                "Hours and load look like those of ordinary customers: a working day, some far busier.",
                "Load is uneven (Gini 0.41), as among customers.",
            ],
        ),
        campaign("c-5f0a12cd", "extraction", STRONG, 412, 50112, 17),
        campaign(
            "c-0d77f3a0",
            "undetermined",
            OPEN,
            9,
            2210,
            12,
            objectives={"mathematics_drills": 0.94},
            links=[],
            exemplars=[],
            counter_evidence=[
                "Nine firms that run the same nightly pipeline would look like this: no link joins them."
            ],
        ),
    ]


def overview() -> dict[str, Any]:
    return {
        "stillwatch": "0.1.0",
        "log": {
            "files": 3,
            "exchanges": 196000,
            "accounts": 3600,
            "principals": 3703,
            "first": iso(0),
            "last": iso(17 * 24 - 0.1),
            "models": [{"model": MODELS[0], "exchanges": 121000}, {"model": MODELS[1], "exchanges": 75000}],
            "rejected": 12,
            "skipped": {"a call that asks for no text": 40},
            "nulled": {"temperature": 3},
            "zoneless": 0,
            "unmapped": 1,
            "duplicates": 0,
            "columns_missing": ["payment_fingerprint", "ip", "country", "tls_fingerprint"],
        },
        "prior": PRIOR,
        "threshold_probability": 0.99,
        "releases": [RELEASE],
        "families": {
            "total": 812,
            "by_verdict": {
                "extraction": 5,
                "shared_client": 12,
                "evaluation": 9,
                "integrator": 4,
                "popular_prompt": 21,
                "undetermined": 1,
                "none": 760,
            },
        },
        "accounts_by_verdict": {"extraction": 480, "undetermined": 9, "shared_client": 611, "none": 2500},
        "caps": [{"what": "principals listed per campaign", "limit": 200, "cut": 212}],
        "innocent": INNOCENT,
        "guarantee": {
            "alpha": None,
            "method": "none",
            "statement": "No error rate is guaranteed: the bar was not calibrated on clean traffic.",
        },
        "labels": None,
        "notices": ["--unsupported-region KP: no exchange comes from there."],
        "text": "masked",
    }


def test_the_examples_are_json_and_the_same_each_time():
    first = json.dumps([overview(), campaigns()], allow_nan=False)
    assert first == json.dumps([overview(), campaigns()], allow_nan=False)
    assert [item["verdict"] for item in campaigns()].count("extraction") == 2

"""``stillwatch replay``: a log that happened, looked at as if it were happening, with nothing known of the future."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stillwatch import __version__
from stillwatch.calibration.guarantee import state
from stillwatch.distinct import distinct
from stillwatch.evidence import load_weights
from stillwatch.history import iso
from stillwatch.live.history import History
from stillwatch.live.step import Flag, Live, Look, Looking, Seen, raised
from stillwatch.outputs import staged, to_table, write_json, write_table
from stillwatch.rejects import RejectLog
from stillwatch.sketching import Source, sketch_log
from stillwatch.spool import Spool

if TYPE_CHECKING:
    from pathlib import Path

    from stillwatch.examine import Options
    from stillwatch.keys import Keys
    from stillwatch.sources import Progress

RESULT = ("flags.parquet", "looks.parquet", "replay.json", "rejected.jsonl")
"""Files of a replay."""

SEALS = ("replay.json",)

_TIME = pa.timestamp("us", tz="UTC")
FLAGS = pa.schema(
    [
        ("account_id", pa.string()),
        ("end_user_id", pa.string()),
        ("campaign_id", pa.string()),
        ("flagged_at", _TIME),
        ("probability", pa.float64()),
        ("evidence_bits", pa.float64()),
        ("extraction_exchanges", pa.int64()),
        ("e_value", pa.float64()),
        ("stands", pa.bool_()),
    ]
)
LOOKS = pa.schema(
    [
        ("campaign_id", pa.string()),
        ("looked_at", _TIME),
        ("evidence_bits", pa.float64()),
        ("margin_bits", pa.float64()),
        ("exchanges", pa.int64()),
        ("principals", pa.int64()),
        ("e_value", pa.float64()),
        ("flagged", pa.bool_()),
    ]
)

Looked = Callable[[int, int], None]
"""Called with the looks that are done and all there are."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result of a replay, as it is written."""

    flags: pa.Table
    looks: pa.Table
    overview: dict[str, Any]


def replay(
    source: Source, out: Path, keys: Keys, options: Options, looking: Looking,
    progress: Progress | None = None, looked: Looked | None = None,
) -> Replayed:  # fmt: skip
    """Replay a log and write flags and looks into ``out``; returns what they say.

    Raises ``LogError`` for a log that cannot be read, ``OutputError`` where ``out`` cannot be written.
    """
    source.spare(out / name for name in RESULT)
    with (
        staged(out, what=f"the replay into {out}", seals=SEALS) as stage,
        RejectLog(out / "rejected.jsonl", limit=options.reject_share, stage=stage) as rejects,
    ):
        with Spool(stage) as spool, History(stage) as history:
            for batch in sketch_log(source, keys, rejects, progress):
                spool.write(batch)
            live = Live(history, keys, options, looking)
            campaigns: list[Seen] = []
            times: list[int] = []
            for look in looks_at(live, spool, looking.step_us, looked):
                campaigns.extend(look.campaigns)
                times.append(look.at_us)
            result = Replayed(
                _flags(live.flags), _looks(campaigns), _overview(live, looking, times, rejects, options)
            )
        write_table(result.flags, stage / "flags.parquet")
        write_table(result.looks, stage / "looks.parquet")
        write_json(result.overview, stage / "replay.json")
    return result


def looks_at(live: Live, spool: Spool, step_us: int, looked: Looked | None = None) -> Iterator[Look]:
    """Look at a spooled log at the end of every step, in order of time, that has an exchange, and sooner where the last
    look would have it.

    Steps are counted from 1970, so that those of an hour end on the hour.
    """
    batches = list(spool)
    times = [batch["at_us"].to_numpy() for batch in batches]
    every = distinct(np.concatenate([distinct(own // step_us) for own in times]))
    bounds = [(int(own.min()), int(own.max())) for own in times]
    for place, step in enumerate(every.tolist()):
        now_us, end_us = step * step_us, (step + 1) * step_us
        while now_us < end_us:
            since_us, now_us = now_us, min(now_us + live.next_us, end_us)
            for batch, own, (first, last) in zip(batches, times, bounds, strict=True):
                if first < now_us and since_us <= last:
                    inside = (own >= since_us) & (own < now_us)
                    if inside.any():
                        live.observe(batch.filter(pa.array(inside)), now_us)
            yield live.look(now_us)
        if looked is not None:
            looked(place + 1, len(every))


def summary(result: Replayed) -> str:
    """What a replay found, in a few lines for a terminal."""
    looks, flags = result.overview["looks"], result.flags
    lines = [
        f"{result.overview['exchanges']['taken']:,} exchanges, {looks:,} looks from "
        f"{result.overview['first_look']} to {result.overview['last_look']}."
    ]
    if result.overview["guarantee"]:
        lines.append(result.overview["guarantee"]["statement"])
    campaigns = flags["campaign_id"].to_pylist()
    if not campaigns:
        lines.append("Nobody was flagged.")
    for name in dict.fromkeys(campaigns):
        times = [
            at for at, own in zip(flags["flagged_at"].to_pylist(), campaigns, strict=True) if own == name
        ]
        lines.append(
            f"{name}: {len(times):,} principals flagged, the first at {min(times):%Y-%m-%d %H:%M} UTC, "
            f"the last at {max(times):%Y-%m-%d %H:%M} UTC"
        )
    left = {name: count for name, count in result.overview["exchanges"].items() if name != "taken" and count}
    if left:
        lines.append(
            "Of the exchanges, " + ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in left.items())
        )
    return "\n".join(lines)


def _flags(flags: Sequence[tuple[Flag, bool]]) -> pa.Table:
    rows = [asdict(flag) | {"flagged_at": flag.flagged_us, "stands": stands} for flag, stands in flags]
    rows.sort(
        key=lambda row: (
            row["flagged_us"], row["campaign_id"], row["account_id"], row["end_user_id"] or ""
        )
    )  # fmt: skip
    return to_table(rows, FLAGS)


def _looks(campaigns: Sequence[Seen]) -> pa.Table:
    return to_table([asdict(seen) | {"looked_at": seen.at_us} for seen in campaigns], LOOKS)


def _overview(
    live: Live, looking: Looking, times: Sequence[int], rejects: RejectLog, options: Options
) -> dict[str, Any]:
    assured = live.assured
    return {
        "stillwatch": __version__,
        "evidence_version": load_weights().version,
        "prior": options.bar.prior,
        "calibration_alpha": assured.alpha if assured else None,
        "guarantee": state(assured, raised(options, looking)) if assured else None,
        "looks": len(times),
        "first_look": iso(times[0]),
        "last_look": iso(times[-1]),
        "looking": {
            "step_s": looking.step_us / 1e6,
            "soonest_s": looking.soonest_us / 1e6,
            "window_s": looking.window_us / 1e6,
            "margin_bits": looking.margin_bits,
            "looks_in_a_row": looking.looks,
        },
        "exchanges": asdict(live.counts),
        "log": {
            "rejected": rejects.rejected,
            "skipped": dict(sorted(rejects.skipped.items())),
            "nulled": dict(sorted(rejects.nulled.items())),
            "zoneless": rejects.zoneless,
            "unmapped": rejects.unmapped,
        },
    }

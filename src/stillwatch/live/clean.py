"""Clean traffic, looked at as live traffic will be: the score of a block is the largest margin at any of the looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stillwatch.calibration.blocks import block_of, score
from stillwatch.calibration.conformal import NOTHING
from stillwatch.examine import examine
from stillwatch.families.fragments import Presence
from stillwatch.live.history import History
from stillwatch.live.replay import looks_at
from stillwatch.live.step import Live
from stillwatch.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pyarrow as pa

    from stillwatch.calibration.blocks import Scored
    from stillwatch.calibration.record import Block
    from stillwatch.examine import Options
    from stillwatch.keys import Keys
    from stillwatch.live.replay import Looked
    from stillwatch.live.step import Looking


def looked_at(keys: Keys, looking: Looking, looked: Looked | None = None) -> Scored:
    """What scores a block by looks; ``keys`` are those of the sketches."""

    def scored(batches: Iterable[pa.RecordBatch], name: str, folder: Path, options: Options) -> Block:
        with Spool(folder) as spool, History(folder) as history:
            presence = Presence(options.rule.least_principals)
            for batch in batches:
                spool.write(batch)
                presence.observe(batch)
            live = Live(history, keys, options, looking)
            scores = [
                score(look.scanned, options)
                for look in looks_at(live, spool, looking.step_us, looked)
                if look.scanned is not None
            ]
            return block_of(examine(spool, presence, options), name, max(scores, default=NOTHING), options)

    return scored

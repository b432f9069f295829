"""The family stage of a scan and nothing after it: a log is read, sketched and counted, and its families are found."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from stillwatch.engine.memory import amount, presence_slots, return_what_is_freed
from stillwatch.families.assign import Rule, find_families
from stillwatch.families.fragments import Presence
from stillwatch.fingerprint import SKETCH_SCHEMA
from stillwatch.keys import Keys
from stillwatch.principals import describe_principals
from stillwatch.rejects import RejectLog
from stillwatch.sketching import Source, sketch_log
from stillwatch.spool import Spool, opens_conversation


def main(log: str, key: str, memory: str) -> None:
    """Print exchanges, families and memberships."""
    return_what_is_freed()
    source, rule = Source((Path(log),)), Rule()
    presence = Presence(rule.least_principals, presence_slots(amount(memory), source.bytes))
    with tempfile.TemporaryDirectory(dir=Path(log).parent) as folder, Spool(Path(folder)) as spool:
        for batch in sketch_log(source, Keys(Path(key).read_bytes()), RejectLog(None)):
            spool.write(batch)
            presence.observe(batch)
        sketches = spool.table(field.name for field in SKETCH_SCHEMA if field.name != "parts")
        principals = describe_principals(sketches)
        families = find_families(
            spool.only("parts", "principal"), presence, principals.hashes, opens_conversation(sketches), rule
        )
        print(spool.rows, len(families.names), len(families.row))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The native exchange table as JSON Lines: the columns of the table by their own names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from stillwatch.exchange import COLUMNS
from stillwatch.formats import About
from stillwatch.formats._decode import decode
from stillwatch.formats._stated import Reading, StatedExchange

_DECODER = msgspec.json.Decoder(StatedExchange)


class NativeLines:
    """One exchange a line, each field named as its column.

    >>> reading = FORMAT.read(
    ...     b'{"exchange_id": "e1", "account_id": "a1", "started_at": "2026-02-01T10:00:00Z", "model": "m",'
    ...     b' "messages": [{"role": "user", "content": "hello"}]}'
    ... )
    >>> reading.exchanges[0].account_id
    'a1'
    """

    name = "native-jsonl"
    about = About(
        title="stillwatch exchange table, JSON Lines",
        needs="nothing: this is the table itself; an optional field may be left out",
        fields={column.name: column.name for column in COLUMNS},
        lost={"any other field": "it is no column of the table"},
        identity="account_id and end_user_id, as they stand; a mapping of identities may replace them",
    )

    def recognises(self, record: Mapping[str, Any]) -> bool:
        """Say whether the object names an account and messages as the table does."""
        return "account_id" in record and "messages" in record and "request" not in record

    def read(self, text: bytes) -> Reading:
        """Read one object."""
        try:
            return Reading([_DECODER.decode(text)])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            record, nulled = decode(_DECODER, text)
            return Reading([record], nulled)


FORMAT = NativeLines()

"""Anthropic's Message Batches: the requests of a batch and its results, joined by their custom_id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from stillwatch.formats import About
from stillwatch.formats._batches import BATCH_LOST, IDENTITY, WITHOUT_A_TIME, key_of, told_by
from stillwatch.formats._bodies import OUTSIDE_COLUMNS, Envelope, columns_of, exchange_of, hash_of
from stillwatch.formats._decode import decode
from stillwatch.formats._stated import (
    Half,
    Identifier,
    MalformedError,
    NotAnExchangeError,
    Reading,
    is_blank,
)
from stillwatch.formats.anthropic import BODY_FIELDS, BODY_LOST

NO_TIME = "started_at is missing on both lines: Anthropic's hold none; add it to the lines of one file"


class _Result(msgspec.Struct, gc=False):
    type: str | None = None
    message: Any = None
    error: Any = None


class _Line(Envelope, gc=False):
    custom_id: Identifier = None
    batch_id: Identifier = None
    params: dict[str, Any] | None = None
    result: _Result | None = None


_DECODER = msgspec.json.Decoder(_Line)


class AnthropicBatch:
    """Lines ``{custom_id, params}`` and ``{custom_id, result: {type, message}}``, in any order."""

    name = "anthropic-batch"
    about = About(
        title="Anthropic Message Batches",
        needs="the requests (one {custom_id, params} a line) and the results of each batch, in any order within "
        "one scan; started_at on the lines of one of them (the batch's created_at will do); and beside the "
        "fields of either line, the identity and network columns by their own names",
        fields={
            "exchange_id": "exchange_id, else result.message.id, else a hash of the two lines",
            "account_id": "account_id on one of the two lines, else the mapping of identities by end user",
            "started_at": "started_at or time on one of the two lines",
            **{
                name: field.replace("request.", "params.").replace("response.", "result.message.")
                for name, field in BODY_FIELDS.items()
            },
            "end_user_id": "end_user_id, else params.metadata.user_id",
            "conversation_id": "conversation_id",
            "status": "status, else success where result.type is succeeded, else failure; null without result",
            **{name: name for name in OUTSIDE_COLUMNS},
        },
        lost={**BATCH_LOST, **BODY_LOST},
        identity=f"{IDENTITY} (metadata.user_id)",
    )

    def recognises(self, record: Mapping[str, Any]) -> bool:
        """Say whether the object is a request or a result of a batch."""
        if "custom_id" not in record or "request" in record:
            return False
        return isinstance(record.get("params"), Mapping) or isinstance(record.get("result"), Mapping)

    def read(self, text: bytes) -> Reading:
        """Say which half of which exchange a line is."""
        line, _ = decode(_DECODER, text)
        if is_blank(line.custom_id):
            raise MalformedError("the field custom_id is missing")
        if line.params is None and line.result is None:
            raise MalformedError("the line has neither params nor result: both halves are missing")
        return Reading([], half=Half(key_of(line.custom_id, line.batch_id), is_reply=line.params is None))

    def read_pair(self, request: bytes, reply: bytes | None) -> Reading:
        """Read one exchange from the lines of its request and its result."""
        asked, nulled = decode(_DECODER, request)
        answered, nulled_too = decode(_DECODER, reply) if reply is not None else (_Line(), ())
        result = answered.result or _Result()
        bodies = columns_of(asked.params or {}, result.message)
        bodies.columns.setdefault("exchange_id", hash_of(request, reply or b""))
        served = "success" if result.type == "succeeded" else "failure"
        bodies.columns["status"] = served if reply is not None else None
        known = told_by(asked, answered)
        if known["started_at"] is None and result.type != "succeeded":
            raise NotAnExchangeError(WITHOUT_A_TIME)
        return exchange_of(bodies, known, nulled + nulled_too, no_time=NO_TIME)


FORMAT = AnthropicBatch()

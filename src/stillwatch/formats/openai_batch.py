"""OpenAI's batches: the file of requests and the files of what came of them, joined by their custom_id."""

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
from stillwatch.formats.openai import BODY_FIELDS, BODY_LOST

NO_TIME = (
    "neither started_at on one of the two lines nor created in the response's body says when it was; "
    "add started_at to the lines of one file"
)


class _Reply(msgspec.Struct, gc=False):
    status_code: int | None = None
    request_id: Identifier = None
    body: Any = None


class _Line(Envelope, gc=False):
    custom_id: Identifier = None
    batch_id: Identifier = None
    id: Identifier = None
    body: dict[str, Any] | None = None
    response: _Reply | None = None
    error: Any = None


_DECODER = msgspec.json.Decoder(_Line)


class OpenAIBatch:
    """Lines ``{custom_id, method, url, body}`` and ``{id, custom_id, response, error}``, in any order."""

    name = "openai-batch"
    about = About(
        title="OpenAI batches",
        needs="the input file and the output and error files of each batch, in any order within one scan; "
        "beside the fields of either line, the identity and network columns by their own names",
        fields={
            "exchange_id": "exchange_id, else response.body.id, else the line's id, else a hash of the two lines",
            "account_id": "account_id on one of the two lines, else the mapping of identities by end user",
            "started_at": "started_at or time on one of the two lines, else response.body.created, .created_at",
            **{
                name: field.replace("request.", "body.").replace("response", "response.body")
                for name, field in BODY_FIELDS.items()
            },
            "end_user_id": "end_user_id, else body.safety_identifier, else body.user",
            "conversation_id": "conversation_id, else body.conversation",
            "status": "status, else success where response.status_code is 200, else failure; null without output",
            **{name: name for name in OUTSIDE_COLUMNS},
        },
        lost={**BATCH_LOST, **BODY_LOST},
        identity=IDENTITY,
    )

    def recognises(self, record: Mapping[str, Any]) -> bool:
        """Say whether the object is a line of one of the files of a batch."""
        if "custom_id" not in record or "params" in record or "result" in record:
            return False
        return isinstance(record.get("body"), Mapping) or "response" in record

    def read(self, text: bytes) -> Reading:
        """Say which half of which exchange a line is."""
        line, _ = decode(_DECODER, text)
        if is_blank(line.custom_id):
            raise MalformedError("the field custom_id is missing")
        if line.body is None and line.response is None and line.error is None:
            raise MalformedError("the line has neither of body, response and error: both halves are missing")
        return Reading([], half=Half(key_of(line.custom_id, line.batch_id), is_reply=line.body is None))

    def read_pair(self, request: bytes, reply: bytes | None) -> Reading:
        """Read one exchange from the lines of its request and its reply."""
        asked, nulled = decode(_DECODER, request)
        answered, nulled_too = decode(_DECODER, reply) if reply is not None else (_Line(), ())
        response = answered.response or _Reply()
        bodies = columns_of(asked.body or {}, response.body)
        bodies.columns.setdefault("exchange_id", answered.id or hash_of(request, reply or b""))
        bodies.columns["status"] = _status(answered) if reply is not None else None
        known = told_by(asked, answered)
        timed = known["started_at"] is not None or "started_at" in bodies.columns
        if not timed and bodies.columns["status"] != "success":
            raise NotAnExchangeError(WITHOUT_A_TIME)
        return exchange_of(bodies, known, nulled + nulled_too, no_time=NO_TIME)


def _status(line: _Line) -> str:
    served = line.response is not None and line.response.status_code == 200 and not line.error
    return "success" if served else "failure"


FORMAT = OpenAIBatch()

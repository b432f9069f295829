"""SGLang's request logger in its JSON form: a line when a request arrives, and one when it is finished."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from stillwatch.formats import About
from stillwatch.formats._bodies import OUTSIDE_COLUMNS, Envelope, envelope_of
from stillwatch.formats._content import content_text, media_token
from stillwatch.formats._decode import decode
from stillwatch.formats._parameters import stated_numbers
from stillwatch.formats._stated import (
    Identifier,
    MalformedError,
    NotAnExchangeError,
    Reading,
    StatedExchange,
    StatedMessage,
    first_named,
    is_blank,
)
from stillwatch.formats._times import to_microseconds

ARRIVAL = "request.received"
FINISH = "request.finished"
HEALTH_CHECK = "HEALTH_CHECK"
NO_MODEL = "sglang"
# The end of a model's reasoning; where it begins is often in the prompt.
THOUGHT = "</think>"
MEDIA = ("image_data", "video_data", "audio_data")
PARAMETERS = {"max_tokens": ("max_new_tokens",), "temperature": ("temperature",), "sample_count": ("n",)}
USAGE = {"input_tokens": ("prompt_tokens",), "output_tokens": ("completion_tokens",)}


class _Line(Envelope, gc=False):
    event: str | None = None
    timestamp: str | int | float | None = None
    rid: Identifier = None
    model: str | None = None
    obj: dict[str, Any] | None = None
    out: Any = None
    headers: dict[str, Any] | None = None


_DECODER = msgspec.json.Decoder(_Line)


class SGLang:
    """One finished request; the prompt is what the chat template made of the messages."""

    name = "sglang"
    about = About(
        title="SGLang request logger",
        needs="--log-requests --log-requests-level 3 --log-requests-format json, and for the account "
        "--tokenizer-metrics-allowed-custom-labels account_id end_user_id with the header x-custom-labels set "
        "by the gateway in front. Written after SGLang's source: it was not run",
        fields={
            "exchange_id": "exchange_id, else rid",
            "account_id": "account_id of the line, else obj.custom_labels.account_id",
            "end_user_id": "end_user_id of the line, else obj.custom_labels.end_user_id",
            "started_at": "started_at of the line, else timestamp less out.meta_info.e2e_latency",
            "model": "model of the line, else obj.lora_path, else sglang: the log does not name its one model",
            "messages": "obj.text (the prompt after the chat template) and the media beside it, as one message of "
            "the user",
            "completion": "out.text, after the reasoning",
            "reasoning": "out.text up to </think>",
            "conversation_id": "conversation_id of the line, else obj.session_id, .conversation_id, "
            ".session_params.id",
            "input_tokens": "out.meta_info.prompt_tokens",
            "output_tokens": "out.meta_info.completion_tokens",
            "max_tokens": "obj.sampling_params.max_new_tokens",
            "temperature": "obj.sampling_params.temperature",
            "sample_count": "obj.sampling_params.n",
            "top_logprobs": "obj.top_logprobs_num",
            "status": "status of the line, else failure where out.meta_info.finish_reason.type is abort, else success",
            **{name: f"{name} of the line" for name in OUTSIDE_COLUMNS},
        },
        lost={
            "request.received": "the line of its finish says the same and more; it is counted",
            "roles": "the chat template was applied before: its marks stand in the text",
            "the middle of long texts": "SGLang itself cuts it out at level 2 (2,048 characters)",
            "input_ids, output_ids, logprobs": "tokens without their text",
            "health checks and embeddings": "they ask for no text; they are counted",
        },
        identity="the server knows no accounts. Let the gateway in front name them in custom labels, or add "
        "account_id to the lines. A timestamp is the server's local time: run it in UTC.",
    )

    def recognises(self, record: Mapping[str, Any]) -> bool:
        """Say whether the object is one of the logger's two events."""
        return record.get("event") in (ARRIVAL, FINISH) and "obj" in record

    def read(self, text: bytes) -> Reading:
        """Read one event."""
        line, nulled = decode(_DECODER, text)
        if line.event == ARRIVAL:
            raise NotAnExchangeError("a request on arrival: the line of its finish is read")
        if line.event != FINISH:
            raise MalformedError("the field event is missing or not of this log")
        asked, out = line.obj or {}, line.out if isinstance(line.out, Mapping) else {}
        if str(line.rid or "").startswith(HEALTH_CHECK) or "embedding" in out:
            raise NotAnExchangeError("a health check or a call that asks for no text")
        prompt = asked.get("text")
        if not isinstance(prompt, str | list):
            raise MalformedError("obj.text is missing; log with --log-requests-level 3")
        meta = _object(out.get("meta_info"))
        numbers, unread = stated_numbers(_object(asked.get("sampling_params")), PARAMETERS)
        alternatives, unlisted = stated_numbers(asked, {"top_logprobs": ("top_logprobs_num",)})
        counts, uncounted = stated_numbers(meta, USAGE)
        labels = _object(asked.get("custom_labels"))
        completion, reasoning = _reply(out.get("text"))
        bodies: dict[str, Any] = {
            "exchange_id": line.rid,
            "account_id": first_named(labels.get("account_id")),
            "end_user_id": first_named(labels.get("end_user_id")),
            "started_at": _started(line.timestamp, meta.get("e2e_latency")),
            "model": line.model or _text(asked.get("lora_path")) or NO_MODEL,
            "messages": [StatedMessage("user", "\n".join([content_text(prompt), *_media(asked)]))],
            "completion": completion,
            "reasoning": reasoning,
            "conversation_id": first_named(
                asked.get("session_id"),
                asked.get("conversation_id"),
                _object(asked.get("session_params")).get("id"),
            ),
            "status": "failure" if _object(meta.get("finish_reason")).get("type") == "abort" else "success",
            **numbers,
            **alternatives,
            **counts,
        }
        known = {name: value for name, value in envelope_of(line).items() if not is_blank(value)}
        columns = bodies | known
        for name in ("exchange_id", "started_at"):
            if is_blank(columns[name]):
                raise MalformedError(
                    f"the field {'rid' if name == 'exchange_id' else 'timestamp'} is missing"
                )
        return Reading([StatedExchange(**columns)], nulled + unread + unlisted + uncounted)


def _started(finished: str | int | float | None, seconds: object) -> str | int | float | None:
    """Return when a request came, which the log tells by its end and its length."""
    if finished is None or isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return finished
    # No request takes a year, and not a number is not larger than anything.
    return to_microseconds(finished) - round(seconds * 1_000_000) if 0 <= seconds < 3.2e7 else finished


def _reply(text: object) -> tuple[str | None, str | None]:
    """Return the answer and the reasoning of one text, or of several samples."""
    samples = text if isinstance(text, list) else [text]
    answers, thoughts = [], []
    for sample in samples:
        if isinstance(sample, str):
            thought, mark, answer = sample.partition(THOUGHT)
            answers.append(answer.lstrip("\n") if mark else thought)
            thoughts.append(thought.removeprefix("<think>").strip("\n") if mark else "")
    return "\n".join(filter(None, answers)) or None, "\n".join(filter(None, thoughts)) or None


def _media(asked: Mapping[str, Any]) -> list[str]:
    """Return a token for each picture, video and sound beside the prompt."""
    found: list[str] = []
    for name in MEDIA:
        values = asked.get(name)
        for value in values if isinstance(values, list) else [values]:
            inner = value.get("url") if isinstance(value, Mapping) else value
            if isinstance(inner, str) and inner:
                found.append(media_token(inner))
    return found


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


FORMAT = SGLang()

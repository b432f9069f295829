"""JSON text to typed records: fast where the text is as it should be, patient where it is not.

Real logs hold ``NaN`` (Python), lone surrogates (JavaScript cuts a text in the middle of an emoji) and
optional fields of odd types. None of them costs the record: the first two are mended, the last become null
and are counted.
"""

from __future__ import annotations

import json
import re
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from stillwatch.formats._stated import MalformedError

Record = TypeVar("Record", bound=msgspec.Struct)
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""What some programs write before the first text."""
TOO_DEEP = "nested too deeply"
# A name of a field is part of a reason; any other text of an error could be a value of the log.
_PLACE = re.compile(r"`(\$[A-Za-z0-9_.\[\]]*)`$")


class Decoded(NamedTuple, Generic[Record]):
    """A typed record, and the names of optional fields that could not be read."""

    record: Record
    nulled: tuple[str, ...]


def decode(decoder: msgspec.json.Decoder[Record], text: bytes) -> Decoded[Record]:
    """Decode one JSON object, or raise :class:`MalformedError` with a reason that holds no value of it."""
    try:
        return Decoded(decoder.decode(text), ())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        kind: Any = decoder.type  # a record's class; releases of msgspec differ in how they type it
        return _salvage(kind, mend(text))


def decode_object(text: bytes) -> dict[str, Any]:
    """Decode one JSON object of any fields."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        value = mend(text)
    if not isinstance(value, dict):
        raise MalformedError("not a JSON object")
    return value


def mend(text: bytes) -> Any:
    """Decode JSON as Python's tolerant parser does; NaN becomes a text, which no number is."""
    try:
        value = json.loads(text, parse_constant=str)
        plain = json.dumps(value, ensure_ascii=False)
        whole = plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return msgspec.json.decode(whole)
    except RecursionError:
        raise MalformedError(TOO_DEEP) from None
    except UnicodeDecodeError:
        raise MalformedError("not UTF-8") from None
    except (ValueError, msgspec.MsgspecError):
        raise MalformedError("not a JSON object") from None


def _salvage(type_: type[Record], value: Any) -> Decoded[Record]:
    """Convert field by field, so that an optional field of a wrong type does not cost the record."""
    if not isinstance(value, dict):
        raise MalformedError("not a JSON object")
    kept = {}
    nulled = []
    for field in msgspec.structs.fields(type_):
        name = field.encode_name
        if name not in value:
            if field.required:
                raise MalformedError(f"the field {name} is missing")
            continue
        try:
            kept[field.name] = msgspec.convert(value[name], field.type)
        except msgspec.ValidationError as error:
            if field.required:
                raise MalformedError(f"the field {name} has a wrong type{_place(error)}") from None
            nulled.append(name)
    return Decoded(type_(**kept), tuple(nulled))


def _place(error: msgspec.ValidationError) -> str:
    found = _PLACE.search(str(error))
    return f" at {found.group(1)[1:].lstrip('.')}" if found and len(found.group(1)) > 1 else ""

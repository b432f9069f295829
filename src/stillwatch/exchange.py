"""The exchange: one request to a model and its reply, as every log format is read into it.

Every reader in :mod:`stillwatch.formats` yields Arrow record batches of :data:`EXCHANGE_SCHEMA`;
nothing downstream knows which program wrote the log.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the exchange table."""

    name: str
    type: pa.DataType
    required: bool
    meaning: str


COLUMNS: tuple[Column, ...] = (
    Column("exchange_id", pa.string(), True, "unique name of the exchange in the log"),
    Column("account_id", pa.string(), True, "what is billed"),
    Column("started_at", UTC_MICROSECONDS, True, "when the request arrived, UTC"),
    Column("model", pa.string(), True, "model that was asked for"),
    Column("messages", pa.list_(MESSAGE), True, "system prompt and every turn of the request, oldest first"),
    Column("completion", pa.string(), False, "text of the reply, without its reasoning"),
    Column("reasoning", pa.string(), False, "reasoning trace that was shown to the caller"),
    Column("tools", pa.list_(pa.string()), False, "tool definitions of the request, one JSON text each"),
    Column("organization_id", pa.string(), False, "who declared the account"),
    Column("account_created_at", UTC_MICROSECONDS, False, "when the account was opened, UTC"),
    Column("end_user_id", pa.string(), False, "the account's own user, where the log names one"),
    Column("conversation_id", pa.string(), False, "exchanges of one conversation share it"),
    Column("input_tokens", pa.int64(), False, "tokens of the request, as billed"),
    Column("output_tokens", pa.int64(), False, "tokens of the reply, as billed"),
    Column("max_tokens", pa.int64(), False, "largest reply that the request allowed, tokens"),
    Column("temperature", pa.float64(), False, "sampling temperature that was asked for"),
    Column("sample_count", pa.int64(), False, "completions that one request asked for"),
    Column("top_logprobs", pa.int64(), False, "alternatives a token whose log-probabilities were asked for"),
    Column("ip", pa.string(), False, "address of the caller"),
    Column("asn", pa.int64(), False, "autonomous system of the address"),
    Column("country", pa.string(), False, "ISO 3166-1 alpha-2 of the address"),
    Column("user_agent", pa.string(), False, "client as it names itself"),
    Column("tls_fingerprint", pa.string(), False, "fingerprint of the TLS client hello, e.g. JA4"),
    Column("payment_fingerprint", pa.string(), False, "fingerprint of the means of payment"),
    Column("status", pa.string(), False, "outcome; null or 'success' is a served exchange"),
)

REQUIRED: tuple[str, ...] = tuple(column.name for column in COLUMNS if column.required)
EXCHANGE_SCHEMA: pa.Schema = pa.schema(
    [pa.field(column.name, column.type, nullable=not column.required) for column in COLUMNS]
)

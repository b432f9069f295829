"""The columns of a sketch that need no text: what the log declares of an exchange, and keyed names of who sent it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stillwatch.hashing import hash_strings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.keys import Keys

_COPIED = (
    "organization_id",
    "input_tokens",
    "output_tokens",
    "max_tokens",
    "sample_count",
    "top_logprobs",
    "country",
    "asn",
)
_HASHED = (
    ("ip", "ip"),
    ("user_agent", "user_agent"),
    ("tls", "tls_fingerprint"),
    ("payment", "payment_fingerprint"),
)
SERVED_STATUS = ("success", "succeeded", "ok", "completed", "200")


def optional(batch: pa.RecordBatch, name: str) -> pa.Array | None:
    """A column of a batch, or nothing where it is missing or null throughout."""
    index = batch.schema.get_field_index(name)
    if index < 0 or batch.column(index).null_count == batch.num_rows:
        return None
    return batch.column(index)


def principals(accounts: pa.Array, end_users: pa.Array | None, keys: Keys) -> NDArray[np.int64]:
    """Keyed 64-bit name of each principal: the account, or its end user where the log names one. int64[n]."""
    pair = keys.pair("principal")
    names = hash_strings(accounts, pair, tag=1)
    if end_users is None:
        return names
    joined = pc.binary_join_element_wise(accounts, end_users, "\x00")
    own = hash_strings(joined, pair, tag=2)
    return np.where(end_users.is_valid().to_numpy(zero_copy_only=False), own, names)


def declared(batch: pa.RecordBatch, keys: Keys) -> dict[str, pa.Array]:
    """Columns that need no text: copied, in other units, or hashed where they name a person or a machine."""
    accounts, end_users = batch["account_id"], optional(batch, "end_user_id")
    columns: dict[str, pa.Array] = {
        "exchange_id": batch["exchange_id"],
        "account_id": accounts,
        "principal": pa.array(principals(accounts, end_users, keys)),
        "at_us": batch["started_at"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()),
        "model": batch["model"],
    }
    if end_users is not None:
        columns["end_user_id"] = end_users
    for name in _COPIED:
        if (column := optional(batch, name)) is not None:
            columns[name] = column
    if (created := optional(batch, "account_created_at")) is not None:
        columns["account_created_us"] = created.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    if (temperature := optional(batch, "temperature")) is not None:
        columns["temperature_milli"] = pc.round(pc.multiply(temperature, 1000.0)).cast(pa.int64(), safe=False)
    if (conversation := optional(batch, "conversation_id")) is not None:
        columns["conversation"] = _hashed(conversation, keys.pair("conversation"))
    for name, source in _HASHED:
        if (column := optional(batch, source)) is not None:
            columns[name] = _hashed(column, keys.pair(name))
    if (address := optional(batch, "ip")) is not None:
        # /24 of IPv4, /48 of IPv6: what one subscriber or rack shares.
        network = pc.replace_substring_regex(
            address, r"(\.\d+)$|^([0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F]*):.*$", r"\2"
        )
        columns["network"] = _hashed(network, keys.pair("network"))
    if (status := optional(batch, "status")) is not None:
        known = pc.is_in(pc.utf8_lower(status), value_set=pa.array(SERVED_STATUS))
        columns["served"] = pc.or_(known, status.is_null())
    else:
        columns["served"] = pa.array(np.ones(batch.num_rows, bool))
    return columns


def _hashed(column: pa.Array, pair: tuple[int, int]) -> pa.Array:
    return pa.array(hash_strings(column, pair), mask=column.is_null().to_numpy(zero_copy_only=False))

"""Mergeable integer tables of streams: all that a signal may read.

A stream is a family, a campaign (merged families), or either in a window. Tables of two logs merge by union
and group-by: sums, minima and maxima of integers, so batch, increments and live are one arithmetic.

========== ======================================= =====================================================
table      key                                     values
========== ======================================= =====================================================
cells      stream_id, principal, hour, model       exchanges, tokens, first_us, last_us, objective sums
fills      stream_id, fill                         exchanges, principals
topics     stream_id, principal, word              exchanges
requests   stream_id, request_hash                 exchanges, principals
traits     principal, kind, value                  exchanges, first_us
principals principal                               exchanges, first_us, last_us, created_us, account,
                                                   organization
========== ======================================= =====================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stillwatch.fingerprint import SYSTEM, TOOLS
from stillwatch.objective.classes import OBJECTIVES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.engine.base import Engine
    from stillwatch.families.assign import Families

HOUR_US = 3_600_000_000
TRAIT_KINDS = ("ip", "network", "user_agent", "tls", "payment", "asn")
OBJECTIVE_SUMS = tuple(f"sum_{name}" for name in OBJECTIVES)


@dataclass(frozen=True, slots=True)
class Members:
    """Memberships of exchanges in streams: m entries, one an exchange and stream."""

    stream: NDArray[np.int32]
    row: NDArray[np.int32]
    objective: NDArray[np.int8]
    """int8[m, 11]: scores of the text in which the template stands, percent."""

    fill_stream: NDArray[np.int32]
    fill_row: NDArray[np.int32]
    fill: NDArray[np.int64]


def narrow(sketches: pa.Table) -> pa.Table:
    """The integer columns of n sketches that statistics are made of, with ``row`` and ``hour``.

    Models, accounts and organizations are numbered in order of name; -1 stands for none.
    """
    at = sketches["at_us"].combine_chunks().to_numpy()
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        "row": pa.array(np.arange(sketches.num_rows, dtype=np.int32)),
        "hour": pa.array((at // HOUR_US).astype(np.int32)),
        "model": pa.array(number(sketches["model"])[0]),
        "account": pa.array(number(sketches["account_id"])[0]),
        "organization": pa.array(number(sketches["organization_id"])[0]),
    }
    for name in (
        "principal",
        "at_us",
        "request_hash",
        "account_created_us",
        "input_tokens",
        "output_tokens",
        "max_tokens",
        "temperature_milli",
        "sample_count",
        "top_logprobs",
        *TRAIT_KINDS,
    ):
        columns[name] = sketches[name]
    return pa.table(columns)


def number(texts: pa.ChunkedArray) -> tuple[NDArray[np.int32], list[str]]:
    """Number the n values of a column in order of text, -1 for null: int32[n], and the texts by number."""
    encoded = texts.combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    ranks = np.empty(len(names) + 1, np.int32)
    ranks[np.argsort(np.array(names, dtype=object), kind="stable") if names else []] = np.arange(len(names))
    ranks[-1] = -1
    return ranks[encoded.indices.fill_null(-1).to_numpy()], sorted(names)


def family_members(families: Families, sketches: pa.Table) -> Members:
    """Every family as a stream of its own."""
    new, system = _scores(sketches, "objective"), _scores(sketches, "system_objective")
    role = families.role[families.family]
    scores = np.where((role == SYSTEM)[:, None], system[families.row], new[families.row])
    scores[role == TOOLS] = 0
    membership = families.fill_membership
    return Members(
        families.family,
        families.row,
        scores,
        families.family[membership],
        families.row[membership],
        families.fill,
    )


def _scores(sketches: pa.Table, name: str) -> NDArray[np.int8]:
    flat = pc.list_flatten(sketches[name].combine_chunks()).to_numpy()
    scores: NDArray[np.int8] = flat.reshape(-1, len(OBJECTIVES))
    return scores


def keep_rows(members: Members, kept: NDArray[np.bool_]) -> Members:
    """Memberships of the exchanges in ``kept`` (bool[n]) alone; streams keep their numbers."""
    inside, fills = kept[members.row], kept[members.fill_row]
    return Members(
        members.stream[inside], members.row[inside], members.objective[inside],
        members.fill_stream[fills], members.fill_row[fills], members.fill[fills],
    )  # fmt: skip


def without(members: Members, streams: NDArray[np.int32], rows: NDArray[np.int32]) -> Members:
    """Members less the pairs of stream and row that the two arrays name."""
    out = np.unique(streams.astype(np.int64) << 32 | rows)
    inside = ~np.isin(members.stream.astype(np.int64) << 32 | members.row, out)
    fills = ~np.isin(members.fill_stream.astype(np.int64) << 32 | members.fill_row, out)
    return Members(
        members.stream[inside], members.row[inside], members.objective[inside],
        members.fill_stream[fills], members.fill_row[fills], members.fill[fills],
    )  # fmt: skip


def merge_streams(members: Members, label: NDArray[np.int32]) -> Members:
    """Members of merged streams: stream s becomes ``label[s]``, -1 leaves it out; an exchange counts once in
    each.

    Of an exchange in several of the merged streams the highest score of each objective is kept, and the fills
    that lie in the slots of every one of them.
    """
    stream = label[members.stream]
    kept = np.flatnonzero(stream >= 0)
    key = stream[kept].astype(np.int64) << 32 | members.row[kept]
    order = np.argsort(key, kind="stable")
    key, kept = key[order], kept[order]
    starts = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if len(key) else np.empty(0, np.int64)
    scores = (
        np.maximum.reduceat(members.objective[kept], starts, axis=0) if len(starts) else members.objective[:0]
    )
    fill_stream = label[members.fill_stream]
    inside = fill_stream >= 0
    triple = np.unique(
        np.rec.fromarrays([fill_stream[inside], members.fill_row[inside], members.fill[inside]])
    )
    return Members(
        (key[starts] >> 32).astype(np.int32),
        (key[starts] & 0xFFFFFFFF).astype(np.int32),
        scores,
        triple["f0"].astype(np.int32),
        triple["f1"].astype(np.int32),
        triple["f2"].astype(np.int64),
    )


def build(engine: Engine, members: Members, sketches: pa.Table) -> dict[str, pa.Table]:
    """Tables of the streams in ``members``: cells, fills, topics, requests, registered with the engine
    too."""
    scores = {name: pa.array(members.objective[:, index]) for index, name in enumerate(OBJECTIVE_SUMS)}
    engine.register(
        {
            "member": pa.table({"stream_id": members.stream, "row": members.row, **scores}),
            "member_fill": pa.table(
                {"stream_id": members.fill_stream, "row": members.fill_row, "fill": members.fill}
            ),
            "member_word": _words(members, sketches),
        }
    )
    tables = {name: engine.query(sql) for name, sql in _STREAM_SQL.items()}
    engine.register(tables)
    return tables


def _words(members: Members, sketches: pa.Table) -> pa.Table:
    """Words of the vocabulary sample of each membership: stream, row, word."""
    column = sketches["vocabulary"].combine_chunks()
    lengths = column.value_lengths().fill_null(0).to_numpy()
    bounds = np.r_[0, np.cumsum(lengths)]
    own = lengths[members.row]
    ends = np.cumsum(own)
    places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(bounds[members.row] - (ends - own), own)
    words = column.flatten().to_numpy(zero_copy_only=False)[places]
    return pa.table(
        {"stream_id": np.repeat(members.stream, own), "row": np.repeat(members.row, own), "word": words}
    )


def register_log(engine: Engine, narrowed: pa.Table) -> dict[str, pa.Table]:
    """Make a log known to an engine: its sketches, and tables of its principals, whatever streams they are
    in."""
    engine.register({"sketch": narrowed})
    tables = {"principals": engine.query(_PRINCIPALS_SQL), "traits": engine.query(_TRAITS_SQL)}
    engine.register(tables)
    return tables


_STREAM_SQL = {
    "cells": f"""
        SELECT m.stream_id, s.principal, s.hour, s.model, CAST(count(*) AS BIGINT) AS exchanges,
               CAST(coalesce(sum(s.input_tokens), 0) AS BIGINT) AS input_tokens,
               CAST(coalesce(sum(s.output_tokens), 0) AS BIGINT) AS output_tokens,
               min(s.at_us) AS first_us, max(s.at_us) AS last_us,
               {", ".join(f"CAST(sum(m.{name}) AS BIGINT) AS {name}" for name in OBJECTIVE_SUMS)}
        FROM member m JOIN sketch s ON m.row = s.row
        GROUP BY m.stream_id, s.principal, s.hour, s.model""",
    "fills": """
        SELECT m.stream_id, m.fill, CAST(count(*) AS BIGINT) AS exchanges,
               CAST(count(DISTINCT s.principal) AS BIGINT) AS principals
        FROM member_fill m JOIN sketch s ON m.row = s.row
        GROUP BY m.stream_id, m.fill""",
    "topics": """
        SELECT m.stream_id, s.principal, m.word, CAST(count(*) AS BIGINT) AS exchanges
        FROM member_word m JOIN sketch s ON m.row = s.row
        GROUP BY m.stream_id, s.principal, m.word""",
    "requests": """
        SELECT m.stream_id, s.request_hash, CAST(count(*) AS BIGINT) AS exchanges,
               CAST(count(DISTINCT s.principal) AS BIGINT) AS principals
        FROM member m JOIN sketch s ON m.row = s.row
        GROUP BY m.stream_id, s.request_hash""",
}

_PRINCIPALS_SQL = """
    SELECT principal, CAST(count(*) AS BIGINT) AS exchanges, min(at_us) AS first_us, max(at_us) AS last_us,
           min(account_created_us) AS created_us, min(account) AS account, max(organization) AS organization
    FROM sketch GROUP BY principal"""

_TRAITS_SQL = " UNION ALL ".join(
    f"""
    SELECT principal, '{kind}' AS kind, {kind} AS value, CAST(count(*) AS BIGINT) AS exchanges,
           min(at_us) AS first_us
    FROM sketch WHERE {kind} IS NOT NULL GROUP BY principal, {kind}"""
    for kind in TRAIT_KINDS
)

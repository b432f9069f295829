"""Integer tables of streams: all that a signal may read.

A stream is a family, a campaign (merged families), or either in a window. Tables hold counts, sums, minima and maxima of
integers, so no order of rows and no engine changes them.

========== ======================================= =====================================================
table      key                                     values
========== ======================================= =====================================================
scores     stream_id                               exchanges, variety, objective sums
cells      stream_id, principal, hour, model       exchanges, first_us, last_us
takers     stream_id, principal                    exchanges
holders    stream_id, account
fills      stream_id, fill                         exchanges, principals
topics     stream_id, word                         exchanges, own_pairs
settings   stream_id, principal, temperature,      exchanges
           sample_count, top_logprobs, max_tokens
traits     principal, kind, value
belongings account, kind, value                    counted
agreements kind                                    all_pairs, all_accounts
principals principal                               first_us, last_us, created_us, account
========== ======================================= =====================================================

Two tables are made of a log as a whole, once: ``releases`` (model, at_us, principals, moved, millionths) and ``whereabouts``
(account, exchanges, placeless, outside, hops).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from stillwatch.distinct import distinct
from stillwatch.families.fragments import Dictionary
from stillwatch.hashing import hash_strings
from stillwatch.objective.classes import OBJECTIVES
from stillwatch.spool import chunks_of

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from stillwatch.engine.base import Engine
    from stillwatch.spool import Columns

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
SETTINGS = ("temperature_milli", "sample_count", "top_logprobs", "max_tokens")
"""What a request may state of how it is to be answered; -1 in the table of that name stands for unstated."""

TRAIT_KINDS = ("network", "payment", *SETTINGS)
"""What a signal compares principals by."""

PLACELESS_ACCOUNTS, HOME_PERCENT = 5, 80
"""Accounts from which a network (asn) can be judged, and the share of them in its most frequent country below which it is
at home nowhere, as clouds, VPNs and proxies are."""

RELEASED_TO, RELEASED_SHARE_OF = 8, 50
"""Principals, and one in how many of the log's, that a new model must reach for its first use to be a release."""

OBJECTIVE_SUMS = tuple(f"sum_{name}" for name in OBJECTIVES)


NARROWED = ("principal", "at_us", "account_created_us", "asn", *TRAIT_KINDS)
NARROW_SCHEMA: pa.Schema = pa.schema(
    [
        ("hour", pa.int32()),
        *((name, pa.int32()) for name in ("model", "account", "country")),
        ("outside", pa.int8()),
        *((name, pa.int64()) for name in NARROWED),
    ]
)


def narrowed(
    batches: Iterable[pa.RecordBatch], model: NDArray[np.int32], account: NDArray[np.int32],
    countries: Iterable[pa.Array], unsupported: frozenset[str],
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    """The integer columns that tables of a log as a whole are made of, for each of ``batches``, which have ``NARROWED``.

    ``model`` and ``account`` are numbers of each exchange, -1 for none; countries are numbered in order of name.
    ``outside`` is 1 for calls from the ``unsupported`` ones.
    """
    country, names = number(countries)
    outside = np.array([*(name in unsupported for name in names), False], np.int8)[country]
    start = 0
    for batch in batches:
        rows = slice(start, start + batch.num_rows)
        start += batch.num_rows
        hour = (batch["at_us"].to_numpy() // HOUR_US).astype(np.int32)
        numbers = [pa.array(each[rows]) for each in (model, account, country, outside)]
        yield pa.RecordBatch.from_arrays(
            [pa.array(hour), *numbers, *(batch[name] for name in NARROWED)], schema=NARROW_SCHEMA
        )


def number(chunks: Iterable[pa.Array]) -> tuple[NDArray[np.int32], list[str]]:
    """Number the n values of a column in order of text, -1 for null: int32[n], and the texts by number."""
    # One chunk at a time, by hashes under a key of this process: the texts of a column need not fit into memory twice.
    numbering, pair = Dictionary(), (int(os.urandom(4).hex(), 16), int(os.urandom(4).hex(), 16))
    codes: list[NDArray[np.int32]] = []
    names: list[str] = []
    for chunk in chunks:
        if chunk.null_count == len(chunk):
            codes.append(np.full(len(chunk), -1, np.int32))
            continue
        known = numbering.size
        own = numbering.encode(hash_strings(chunk, pair, tag=1))
        _, first = np.unique(own[own >= known], return_index=True)
        names += chunk.take(pa.array(np.flatnonzero(own >= known)[first])).fill_null("").to_pylist()
        codes.append(np.where(chunk.is_null().to_numpy(zero_copy_only=False), -1, own).astype(np.int32))
    # A null hashes like the empty text; it is no name unless the text itself is there.
    found = np.concatenate(codes) if codes else np.empty(0, np.int32)
    given = distinct(found)
    given = given[given >= 0]
    held = [names[code] for code in given.tolist()]
    order = sorted(range(len(held)), key=held.__getitem__)
    ranks = np.full(len(names) + 1, -1, np.int32)
    ranks[given[order]] = np.arange(len(order), dtype=np.int32)
    return ranks[found], [held[place] for place in order]


def register_log(
    engine: Engine, narrowed: pa.Table, stated: Mapping[int, int] = MappingProxyType({})
) -> None:
    """Make a log known to an engine: its sketches, and tables of its principals, whatever streams they are in:
    ``principals``, ``traits``, ``belongings``, ``agreements``, ``released``, ``releases`` and ``whereabouts``.

    ``stated``: when models were released, microseconds since 1970 by number of model. Where nothing is stated, the
    first use of a model that appears well inside the log stands for its release.
    """
    engine.register({"sketch": narrowed})
    engine.keep("principals", _PRINCIPALS_SQL)
    engine.keep("traits", _TRAITS_SQL)
    engine.keep("belongings", _BELONGINGS_SQL)
    engine.keep("agreements", _AGREEMENTS_SQL)
    if stated:
        model, at_us = np.array(sorted(stated.items()), np.int64).T
        engine.register({"released": pa.table({"model": model, "at_us": at_us})})
    else:
        engine.register({"released": engine.query(_FIRST_USES_SQL)})
    engine.register({"releases": _with_share(engine.query(_RELEASES_SQL))})
    engine.keep("whereabouts", _WHEREABOUTS_SQL)
    # Nothing else reads the log, and it may be large.
    engine.register({"sketch": narrowed.schema.empty_table()})


def register_streams(engine: Engine, tables: Mapping[str, pa.Table]) -> None:
    """Make tables of streams known to an engine that knows their log, with ``takers`` and ``holders``: principals and
    accounts of each stream."""
    engine.register(tables)
    engine.keep("takers", _TAKERS_SQL)
    engine.keep("holders", _HOLDERS_SQL)


def _with_share(releases: pa.Table) -> pa.Table:
    """Releases with ``millionths``, the share of the log's principals who moved: an integer, so that sums are."""
    moved, principals = (releases[name].to_numpy() for name in ("moved", "principals"))
    return releases.append_column("millionths", pa.array(1_000_000 * moved // np.maximum(principals, 1)))


def releases_of(sketches: Columns, stated: Mapping[str, datetime]) -> dict[int, int]:
    """Stated releases of models that the log has, as ``register_log`` takes them."""
    names = number(chunks_of(sketches, "model"))[1] if stated else []
    return {
        names.index(model): int(at.timestamp() * 1_000_000) for model, at in stated.items() if model in names
    }


_PRINCIPALS_SQL = """
    SELECT principal, min(at_us) AS first_us, max(at_us) AS last_us, min(account_created_us) AS created_us,
           min(account) AS account
    FROM sketch GROUP BY principal"""

_TRAITS_SQL = " UNION ALL ".join(
    f"""
    SELECT DISTINCT principal, '{kind}' AS kind, {kind} AS value FROM sketch WHERE {kind} IS NOT NULL"""
    for kind in TRAIT_KINDS
)

_BELONGINGS_SQL = f"""
    WITH held AS (SELECT DISTINCT p.account, t.kind, t.value
                  FROM traits t JOIN principals p ON t.principal = p.principal WHERE t.kind IN ('network', 'payment')
                  UNION ALL
                  SELECT account, 'opened' AS kind, min(created_us - created_us % {DAY_US}) AS value
                  FROM principals WHERE created_us IS NOT NULL GROUP BY account)
    SELECT h.account, h.kind, h.value, CASE WHEN h.value = o.value THEN 1 ELSE 0 END AS counted
    FROM held h JOIN (SELECT account, kind, min(value) AS value FROM held GROUP BY account, kind) o
      ON h.account = o.account AND h.kind = o.kind"""
"""What accounts have; one of those of a kind is ``counted``, so that their sum is the number of accounts."""

_AGREEMENTS_SQL = """
    SELECT kind, CAST(sum(n * (n - 1)) AS BIGINT) AS all_pairs, CAST(sum(accounts) AS BIGINT) AS all_accounts
    FROM (SELECT kind, value, CAST(count(*) AS BIGINT) AS n, sum(counted) AS accounts
          FROM belongings GROUP BY kind, value) g
    GROUP BY kind"""

_TAKERS_SQL = """
    SELECT stream_id, principal, CAST(sum(exchanges) AS BIGINT) AS exchanges
    FROM cells GROUP BY stream_id, principal"""

_HOLDERS_SQL = """
    SELECT DISTINCT t.stream_id, p.account FROM takers t JOIN principals p ON t.principal = p.principal"""

_WHEREABOUTS_SQL = f"""
    SELECT v.account, CAST(sum(v.exchanges) AS BIGINT) AS exchanges,
           CAST(sum(CASE WHEN a.asn IS NOT NULL THEN v.exchanges ELSE 0 END) AS BIGINT) AS placeless,
           CAST(sum(v.outside) AS BIGINT) AS outside, CAST(max(coalesce(h.hops, 0)) AS BIGINT) AS hops
    FROM (SELECT account, asn, CAST(count(*) AS BIGINT) AS exchanges, CAST(sum(outside) AS BIGINT) AS outside
          FROM sketch WHERE country >= 0 GROUP BY account, asn) v
    LEFT JOIN (SELECT asn
               FROM (SELECT asn, country, CAST(count(*) AS BIGINT) AS n
                     FROM (SELECT DISTINCT asn, country, account FROM sketch
                           WHERE country >= 0 AND asn IS NOT NULL) d
                     GROUP BY asn, country) c
               GROUP BY asn HAVING sum(n) >= {PLACELESS_ACCOUNTS} AND 100 * max(n) < {HOME_PERCENT} * sum(n)) a
      ON v.asn = a.asn
    LEFT JOIN (SELECT account, CAST(count(*) AS BIGINT) AS hops
               FROM (SELECT account, hour FROM sketch WHERE country >= 0 GROUP BY account, hour
                     HAVING min(country) < max(country)) s
               GROUP BY account) h
      ON v.account = h.account
    GROUP BY v.account"""

_FIRST_USES_SQL = f"""
    SELECT m.model, m.at_us
    FROM (SELECT model, min(at_us) AS at_us, count(DISTINCT principal) AS principals
          FROM sketch WHERE model >= 0 GROUP BY model) m
    CROSS JOIN (SELECT min(first_us) AS begins, max(last_us) AS ends, count(*) AS principals FROM principals) w
    WHERE m.at_us >= w.begins + {2 * DAY_US} AND m.at_us <= w.ends - {DAY_US}
      AND m.principals >= {RELEASED_TO} AND {RELEASED_SHARE_OF} * m.principals >= w.principals"""

_RELEASES_SQL = f"""
    SELECT model, at_us, CAST(count(*) AS BIGINT) AS principals, CAST(sum(moved) AS BIGINT) AS moved
    FROM (SELECT r.model, r.at_us, s.principal, max(CASE WHEN s.model = r.model THEN 1 ELSE 0 END) AS moved
          FROM sketch s JOIN released r ON s.at_us >= r.at_us AND s.at_us < r.at_us + {DAY_US}
          JOIN principals p ON s.principal = p.principal
          WHERE p.first_us < r.at_us
          GROUP BY r.model, r.at_us, s.principal) w
    GROUP BY model, at_us"""

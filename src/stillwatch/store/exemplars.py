"""Examples of a campaign's exchanges: their shape for everybody, their text with an entry of the audit log.

What is kept is what the scan wrote: only fragments that several principals sent, everything else masked, unless the
scan was told to keep the text. Addresses, keys and numbers of people are words in either.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from stillwatch.exemplars import MASK
from stillwatch.store import StoreError, audit
from stillwatch.store.cases import case_of
from stillwatch.store.database import Store
from stillwatch.store.tables import campaigns, cases, exemplars

_MASKED = re.compile(re.escape(MASK) + r" \((\d+) words?\)")


def shapes(store: Store, name: str, campaign_id: str) -> list[dict[str, Any]]:
    """The examples without a word of them: ``exchange_id``, ``role``, and of each run whether it is shared and how
    many words it has."""
    with store.reading() as connection:
        _, turns = _turns(connection, name, campaign_id)
    return [
        {
            "exchange_id": turn["exchange_id"],
            "role": turn["role"],
            "spans": [{"shared": span["shared"], "words": _words(span["text"])} for span in turn["spans"]],
        }
        for turn in turns
    ]


def reveal(
    store: Store, name: str, campaign_id: str, by: str, reason: str, now: dt.datetime
) -> list[dict[str, Any]]:
    """The examples with their text; every view is an entry of the audit log, with who and why."""
    if not reason.strip():
        raise StoreError("say why you must see the text; it is kept in the audit log")
    with store.writing() as connection:
        case_id, turns = _turns(connection, name, campaign_id)
        if not turns:
            raise StoreError(f"the scan kept no example of {campaign_id}")
        told = {
            "campaign": campaign_id,
            "reason": reason.strip(),
            "exchanges": [turn["exchange_id"] for turn in turns],
        }
        audit.append(connection, now, by, "text.revealed", case_id, told)
    return turns


def _turns(connection: Connection, name: str, campaign_id: str) -> tuple[str, list[dict[str, Any]]]:
    """Of the campaign as the latest scan of the case found it."""
    case_id = case_of(connection, name)
    newest = sa.select(cases.c.scan_id).where(cases.c.id == case_id).scalar_subquery()
    here = (
        campaigns.c.case_id == case_id,
        campaigns.c.campaign_id == campaign_id,
        campaigns.c.scan_id == newest,
    )
    if connection.execute(sa.select(campaigns.c.scan_id).where(*here)).first() is None:
        raise StoreError(f"{case_id} has no campaign {campaign_id} by its latest scan")
    found = connection.execute(
        sa.select(exemplars.c.turns).where(
            exemplars.c.scan_id == newest, exemplars.c.campaign_id == campaign_id
        )
    ).scalar()
    return case_id, found or []


def _words(text: str) -> int:
    masked = _MASKED.search(text)
    return int(masked[1]) if masked else len(text.split())

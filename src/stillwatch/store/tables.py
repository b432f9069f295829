"""Tables of the store. ``migrations/`` makes the same ones; a test holds the two against each other."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

METADATA = sa.MetaData()

NOBODY = ""
"""``end_user_id`` of a principal that is an account: a key cannot hold a null."""


class UtcTime(sa.TypeDecorator[dt.datetime]):
    """A time with its zone, UTC; SQLite knows no zones and gets it without."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Any) -> dt.datetime | None:
        """The time in UTC as the database takes it."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        at = value.astimezone(dt.UTC)
        return at.replace(tzinfo=None) if dialect.name == "sqlite" else at

    def process_result_value(self, value: dt.datetime | None, dialect: Any) -> dt.datetime | None:  # noqa: ARG002 (the base class's signature)
        """The time in UTC as the program takes it."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


def _principal(*, key: bool = False) -> list[sa.Column[Any]]:
    return [
        sa.Column("account_id", sa.Text, primary_key=key, nullable=False),
        sa.Column("end_user_id", sa.Text, primary_key=key, nullable=False),
    ]


scans = sa.Table(
    "scans",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    sa.Column("loaded_at", UtcTime, nullable=False),
    sa.Column("first_seen", UtcTime, nullable=False),
    sa.Column("last_seen", UtcTime, nullable=False),
    sa.Column("overview", sa.JSON, nullable=False),
)
"""Results that were loaded, each once."""

cases = sa.Table(
    "cases",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("scan_id", sa.ForeignKey("scans.id"), nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("assignee", sa.Text),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("opened_at", UtcTime, nullable=False),
    sa.Column("changed_at", UtcTime, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("probability", sa.Float, nullable=False),
    sa.Column("evidence_bits", sa.Float, nullable=False),
    sa.Column("exchanges", sa.BigInteger, nullable=False),
    sa.Column("principals", sa.BigInteger, nullable=False),
    sa.Column("appeals", sa.Integer, nullable=False, server_default="0"),
    sa.Column("first_seen", UtcTime, nullable=False),
    sa.Column("last_seen", UtcTime, nullable=False),
    sa.Index("cases_by_appeals", "appeals"),
    sa.Index("cases_by_certainty", "state", "probability", "exchanges"),
    sa.Index("cases_by_size", "state", "exchanges"),
    sa.Index("cases_by_age", "state", "opened_at"),
)
"""What people work on: a campaign through all scans that find it, as its latest scan sees it; ``appeals`` counts those
that wait for an answer."""

campaigns = sa.Table(
    "campaigns",
    METADATA,
    sa.Column("scan_id", sa.ForeignKey("scans.id"), primary_key=True),
    sa.Column("campaign_id", sa.Text, primary_key=True),
    sa.Column("case_id", sa.ForeignKey("cases.id"), nullable=False, index=True),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("probability", sa.Float, nullable=False),
    sa.Column("exchanges", sa.BigInteger, nullable=False),
    sa.Column("principals", sa.BigInteger, nullable=False),
    sa.Column("dossier", sa.JSON, nullable=False),
    sa.Index("campaigns_by_id", "campaign_id"),
    sa.Index("campaigns_by_scan", "scan_id", "case_id", "exchanges"),
)
"""Campaigns as the scans wrote them into campaigns.json, without their principals and examples."""

families = sa.Table(
    "families",
    METADATA,
    sa.Column("scan_id", sa.ForeignKey("scans.id"), primary_key=True),
    sa.Column("family_id", sa.Text, primary_key=True),
    sa.Column("campaign_id", sa.Text),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("objective", sa.Text),
    sa.Column("exchanges", sa.BigInteger, nullable=False),
    sa.Column("principals", sa.BigInteger, nullable=False),
    sa.Column("matched", sa.BigInteger, nullable=False),
    sa.Column("evidence_bits", sa.Float, nullable=False),
    sa.Index("families_by_id", "family_id", postgresql_ops={"family_id": "text_pattern_ops"}),
)
"""Families of the scans; ``matched`` counts their rows of matches.parquet."""

templates = sa.Table(
    "templates",
    METADATA,
    sa.Column("scan_id", sa.ForeignKey("scans.id"), primary_key=True),
    sa.Column("family_id", sa.Text, primary_key=True),
    sa.Column("template", sa.JSON, nullable=False),
    sa.Index("templates_by_family", "family_id", "scan_id"),
)
"""Keyed fragments of the families of campaigns, by which a gateway tells that a request belongs to one."""

participants = sa.Table(
    "participants",
    METADATA,
    sa.Column("scan_id", sa.ForeignKey("scans.id"), primary_key=True),
    sa.Column("case_id", sa.ForeignKey("cases.id"), primary_key=True),
    *_principal(key=True),
    sa.Column("campaign_id", sa.Text, nullable=False),
    sa.Column("probability", sa.Float, nullable=False),
    sa.Column("exchanges", sa.BigInteger, nullable=False),
    sa.Column("extraction_exchanges", sa.BigInteger, nullable=False),
    sa.Column("first_seen", UtcTime, nullable=False),
    sa.Column("last_seen", UtcTime, nullable=False),
    sa.Index("participants_by_account", "account_id"),
    sa.Index(
        "participants_by_share",
        "scan_id",
        "case_id",
        sa.desc("extraction_exchanges"),
        "account_id",
        "end_user_id",
    ),
)
"""Principals of the cases, by scan."""

in_common = sa.Table(
    "in_common",
    METADATA,
    sa.Column("case_id", sa.ForeignKey("cases.id"), primary_key=True),
    sa.Column("scan_id", sa.ForeignKey("scans.id"), primary_key=True),
    sa.Column("other_id", sa.ForeignKey("scans.id"), primary_key=True),
    sa.Column("principals", sa.BigInteger, nullable=False),
)
"""How many principals a case has by a scan and by one loaded before it too; by itself: how many at all."""

accounts = sa.Table(
    "accounts",
    METADATA,
    sa.Column("scan_id", sa.ForeignKey("scans.id"), primary_key=True),
    *_principal(key=True),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("campaign_id", sa.Text),
    sa.Column("probability", sa.Float),
    sa.Column("evidence_bits", sa.Float),
    sa.Column("exchanges", sa.BigInteger, nullable=False),
    sa.Column("extraction_exchanges", sa.BigInteger, nullable=False),
    sa.Column("first_seen", UtcTime, nullable=False),
    sa.Column("last_seen", UtcTime, nullable=False),
    sa.Column("reasons", sa.JSON, nullable=False),
    sa.Index("accounts_by_id", "account_id", "scan_id", postgresql_ops={"account_id": "text_pattern_ops"}),
)
"""Every account and judged end user of the scans."""

decisions = sa.Table(
    "decisions",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("case_id", sa.ForeignKey("cases.id"), nullable=False, index=True),
    sa.Column("campaign_id", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("finding", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("parameters", sa.JSON, nullable=False),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("account_id", sa.Text),
    sa.Column("end_user_id", sa.Text),
    sa.Column("family_id", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("lasts_s", sa.BigInteger, nullable=False),
    sa.Column("spread_s", sa.BigInteger, nullable=False),
    sa.Column("follows", sa.Boolean, nullable=False),
    sa.Column("gained", sa.Integer, nullable=False),
    sa.Column("principals", sa.Integer, nullable=False),
    sa.Column("expected_innocent", sa.Float, nullable=False),
    sa.Column("approval", sa.Text, nullable=False),
    sa.Column("asked_by", sa.Text, nullable=False),
    sa.Column("asked_at", UtcTime, nullable=False),
    sa.Column("approved_by", sa.Text),
    sa.Column("decided_at", UtcTime),
    sa.Column("until", UtcTime),
    sa.Column("ended_by", sa.Text),
    sa.Column("ended_at", UtcTime),
    sa.Column("ended_because", sa.Text),
    sa.Index("decisions_by_state", "state", "id"),
)
"""What was decided. A row is never removed: what is taken back keeps its history."""

targets = sa.Table(
    "targets",
    METADATA,
    sa.Column("decision_id", sa.ForeignKey("decisions.id"), primary_key=True),
    *_principal(key=True),
    sa.Column("probability", sa.Float, nullable=False),
    sa.Column("starts_at", UtcTime),
    sa.Column("lifted_at", UtcTime),
    sa.Column("lifted_because", sa.Text),
    sa.Index("targets_by_account", "account_id"),
)
"""Whom a decision hits, one row a principal, with the moment drawn for it; lifted one by one where need be."""

policies = sa.Table(
    "policies",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("since", UtcTime, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
)
"""Policies in the order in which they came into use, so that a hash in the audit log can be looked up."""

proposals = sa.Table(
    "proposals",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("case_id", sa.ForeignKey("cases.id"), nullable=False, index=True),
    sa.Column("scan_id", sa.ForeignKey("scans.id"), nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("finding", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("parameters", sa.JSON, nullable=False),
    sa.Column("family_id", sa.Text),
    sa.Column("lasts_s", sa.BigInteger, nullable=False),
    sa.Column("spread_s", sa.BigInteger, nullable=False),
    sa.Column("follows", sa.Boolean, nullable=False),
    sa.Column("principals", sa.Integer, nullable=False),
    sa.Column("expected_innocent", sa.Float, nullable=False),
    sa.Column("made_at", UtcTime, nullable=False),
    sa.Column("decision_id", sa.ForeignKey("decisions.id")),
    sa.Column("closed_by", sa.Text),
    sa.Column("closed_at", UtcTime),
    sa.Column("closed_because", sa.Text),
    sa.UniqueConstraint("case_id", "scan_id", "digest", "rule", name="proposals_once"),
)
"""What the rules of a policy propose of a case, or in the shadow would have; each once a scan of it and policy."""

outbox = sa.Table(
    "outbox",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("due_at", UtcTime, nullable=False),
    sa.Column("decision_id", sa.ForeignKey("decisions.id")),
    *_principal(),
    sa.Column("news", sa.JSON),
    sa.Index("outbox_by_time", "due_at"),
    sa.Index("outbox_by_target", "decision_id", "account_id", "end_user_id"),
)
"""What others are to be told: that an action begins or ends for a principal, or news for people."""

deliveries = sa.Table(
    "deliveries",
    METADATA,
    sa.Column("outbox_id", sa.ForeignKey("outbox.id"), primary_key=True),
    sa.Column("webhook", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_at", UtcTime, nullable=False),
    sa.Column("wrong", sa.Text, nullable=False),
)
"""What became of each message, by webhook; without a row it was not looked at yet."""

appeals = sa.Table(
    "appeals",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("serial", sa.Text, nullable=False, unique=True),
    sa.Column("decision_id", sa.ForeignKey("decisions.id"), nullable=False),
    sa.Column("case_id", sa.ForeignKey("cases.id"), nullable=False),
    *_principal(),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("until", UtcTime, nullable=False),
    sa.Column("answered_within_s", sa.BigInteger, nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("made_at", UtcTime, nullable=False),
    sa.Column("objection", sa.Text),
    sa.Column("objected_at", UtcTime),
    sa.Column("answer", sa.Text),
    sa.Column("answered_by", sa.Text),
    sa.Column("answered_at", UtcTime),
    sa.UniqueConstraint("decision_id", "account_id", "end_user_id", name="appeals_once"),
    sa.Index("appeals_by_case", "case_id", "state"),
    sa.Index("appeals_by_state", "state", "objected_at"),
)
"""Links for the accused, what they object, and what was answered; one a decision and principal."""

exemplars = sa.Table(
    "exemplars",
    METADATA,
    sa.Column("scan_id", sa.ForeignKey("scans.id"), primary_key=True),
    sa.Column("campaign_id", sa.Text, primary_key=True),
    sa.Column("turns", sa.JSON, nullable=False),
)
"""Examples of a campaign's exchanges as the scan wrote them; the only text of prompts, and each view of it is logged."""

users = sa.Table(
    "users",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("password", sa.Text),
    sa.Column("password_at", UtcTime, nullable=False),
    sa.Column("one_time", sa.Boolean, nullable=False),
    sa.Column("made_at", UtcTime, nullable=False),
    sa.Column("disabled_at", UtcTime),
)
"""Who may use the pages; ``password`` is a hash, and null for whoever logs in elsewhere."""

outside_users = sa.Table(
    "outside_users",
    METADATA,
    sa.Column("issuer", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("user_name", sa.ForeignKey("users.name"), nullable=False, unique=True),
)
"""What a provider calls a user who logs in there."""

sessions = sa.Table(
    "sessions",
    METADATA,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("user_name", sa.ForeignKey("users.name"), nullable=False, index=True),
    sa.Column("csrf", sa.Text, nullable=False),
    sa.Column("opened_at", UtcTime, nullable=False),
    sa.Column("seen_at", UtcTime, nullable=False),
)
"""Sessions that are open, by the hash of their token."""

audit = sa.Table(
    "audit",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("previous", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Index("audit_by_subject", "subject", "number"),
    sa.Index("audit_by_kind", "kind", "number"),
)
"""The audit log; triggers of the database refuse to change or remove a row."""

head = sa.Table(
    "audit_head",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)
"""Number and hash of the last entry, one row; whoever writes locks it, so writers come one after the other."""

settings = sa.Table(
    "settings",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
"""What the store made for itself at its first opening, such as the key that stands for names in the audit log."""

"""Users, their sessions, and the examples of text out of the campaigns, into a table that is read with a log entry."""

import sqlalchemy as sa
from alembic import op

from stillwatch.store.tables import UtcTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them, and move what there is."""
    op.create_table(
        "users",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("password_at", UtcTime(), nullable=False),
        sa.Column("one_time", sa.Boolean(), nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("disabled_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("csrf", sa.Text(), nullable=False),
        sa.Column("opened_at", UtcTime(), nullable=False),
        sa.Column("seen_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_name"], ["users.name"]),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index(op.f("ix_sessions_user_name"), "sessions", ["user_name"], unique=False)
    made = op.create_table(
        "exemplars",
        sa.Column("scan_id", sa.Integer(), nullable=False),
        sa.Column("campaign_id", sa.Text(), nullable=False),
        sa.Column("turns", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["scan_id"], ["scans.id"]),
        sa.PrimaryKeyConstraint("scan_id", "campaign_id"),
    )
    _move(made)


def downgrade() -> None:
    """Refuse: text would come back to where it is read without an entry of the log."""
    raise NotImplementedError("users and examples are not taken back into the first tables")


def _move(exemplars: sa.Table) -> None:
    campaigns = sa.table(
        "campaigns",
        sa.column("scan_id", sa.Integer),
        sa.column("campaign_id", sa.Text),
        sa.column("dossier", sa.JSON),
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(campaigns)).all():
        turns = row.dossier.get("exemplars")
        if not turns:
            continue
        connection.execute(
            exemplars.insert(), {"scan_id": row.scan_id, "campaign_id": row.campaign_id, "turns": turns}
        )
        left = {key: value for key, value in row.dossier.items() if key != "exemplars"}
        connection.execute(
            campaigns.update()
            .where(campaigns.c.scan_id == row.scan_id, campaigns.c.campaign_id == row.campaign_id)
            .values(dossier=left)
        )

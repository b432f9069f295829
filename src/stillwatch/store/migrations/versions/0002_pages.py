"""What the pages need: users, their sessions, indexes, and the examples of text in a table that is read with a log entry."""

import sqlalchemy as sa
from alembic import op

from stillwatch.store.tables import UtcTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_COUNTED = (("probability", sa.Float()), ("exchanges", sa.BigInteger()), ("principals", sa.BigInteger()))


def upgrade() -> None:
    """Make them, and move what there is."""
    _make_users()
    _make_sessions()
    exemplars = op.create_table(
        "exemplars",
        sa.Column("scan_id", sa.Integer(), nullable=False),
        sa.Column("campaign_id", sa.Text(), nullable=False),
        sa.Column("turns", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["scan_id"], ["scans.id"]),
        sa.PrimaryKeyConstraint("scan_id", "campaign_id"),
    )
    op.create_index("decisions_by_state", "decisions", ["state", "id"], unique=False)
    op.create_index("audit_by_kind", "audit", ["kind", "number"], unique=False)
    with op.batch_alter_table("campaigns") as table:
        table.add_column(sa.Column("verdict", sa.Text(), nullable=False, server_default=""))
        for name, kind in _COUNTED:
            table.add_column(sa.Column(name, kind, nullable=False, server_default="0"))
    _move(exemplars)
    with op.batch_alter_table("campaigns") as table:
        for name in ("verdict", *(name for name, _ in _COUNTED)):
            table.alter_column(name, server_default=None)


def downgrade() -> None:
    """Refuse: text would come back to where it is read without an entry of the log."""
    raise NotImplementedError("users and examples are not taken back into the first tables")


def _make_users() -> None:
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


def _make_sessions() -> None:
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


def _move(exemplars: sa.Table) -> None:
    """Examples out of the dossiers, and what lists are made of out of them into columns."""
    whole = sa.table(
        "campaigns",
        *(sa.column(name) for name in ("scan_id", "campaign_id", "verdict", "exchanges", "principals")),
        sa.column("probability"),
        sa.column("dossier", sa.JSON),
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(whole)).all():
        key = {"scan_id": row.scan_id, "campaign_id": row.campaign_id}
        if turns := row.dossier.get("exemplars"):
            connection.execute(exemplars.insert(), key | {"turns": turns})
        connection.execute(
            whole.update()
            .where(whole.c.scan_id == row.scan_id, whole.c.campaign_id == row.campaign_id)
            .values(
                verdict=row.dossier["verdict"],
                probability=row.dossier["probability"],
                exchanges=row.dossier["scale"]["exchanges"],
                principals=row.dossier["scale"]["principals"],
                dossier={name: value for name, value in row.dossier.items() if name != "exemplars"},
            )
        )

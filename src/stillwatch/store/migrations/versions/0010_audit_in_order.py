"""The audit log takes the entry that comes next and no other: none in place of one, and none before the first."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_FORBID = "the audit log is only ever added to"
_NEXT = "(SELECT number + 1 FROM audit_head)"


def upgrade() -> None:
    """Make the trigger. SQLite's INSERT OR REPLACE asks the one on DELETE for nothing, so this comes before it."""
    if op.get_context().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION audit_in_order() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN IF NEW.number IS DISTINCT FROM {_NEXT} THEN RAISE EXCEPTION '{_FORBID}'; END IF; "
            "RETURN NEW; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_keep_insert BEFORE INSERT ON audit "
            "FOR EACH ROW EXECUTE FUNCTION audit_in_order()"
        )
    else:
        op.execute(
            f"CREATE TRIGGER audit_keep_insert BEFORE INSERT ON audit WHEN NEW.number IS NOT {_NEXT} "
            f"BEGIN SELECT RAISE(ABORT, '{_FORBID}'); END"
        )


def downgrade() -> None:
    """Remove it."""
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP TRIGGER audit_keep_insert ON audit")
        op.execute("DROP FUNCTION audit_in_order")
    else:
        op.execute("DROP TRIGGER audit_keep_insert")

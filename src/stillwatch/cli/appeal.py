"""``stillwatch appeal``: a way to object for whoever is hit, and the answer of another person."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import typer

from stillwatch.cli.review import (
    ACCOUNT,
    AS_JSON,
    BY,
    END_USER,
    POLICY,
    STORE,
    WHY,
    now,
    opened_policy,
    opened_store,
    who,
)

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Appeals: links for those who are hit, what they object, and the answer.",
)

DECISION = typer.Argument(..., metavar="DECISION", help="Number of the decision.")
NUMBER = typer.Argument(..., metavar="NUMBER", help="Number of the appeal.")
ADDRESS = typer.Option(
    ..., "--address", metavar="URL", help="Where the pages are reached, such as https://review.example.org."
)
OUT = typer.Option(..., "--out", metavar="FILE", help="CSV with account_id, end_user_id and link.")
STATE = typer.Option("received", "--state", help="received, upheld, reversed, invited, revoked or all.")
START = typer.Option(0, "--start", min=0, help="Appeals that are left out at the top.")
OUTCOME = typer.Option(..., "--outcome", help="upheld or reversed.")
ANSWER = typer.Option(..., "--answer", metavar="TEXT", help="What the accused are told; they read it.")


@app.command("invite")
def invite(
    decision: int = DECISION,
    address: str = ADDRESS,
    out: Path = OUT,
    account: str | None = ACCOUNT,
    end_user: str | None = END_USER,
    store: str = STORE,
    by: str | None = BY,
    policy: Path | None = POLICY,
) -> None:
    """Write links for those whom a decision hits by now, for you to send to them."""
    from stillwatch.outputs import staged
    from stillwatch.report.wording import quantity
    from stillwatch.store.appeals import invite as run

    _check_address(address)
    with opened_store(store) as opened:
        made, later = run(opened, decision, who(by), opened_policy(policy), now(), account, end_user)
        with staged(out.parent, what=f"the links {out}", seals=()) as stage:
            with (stage / out.name).open("w", encoding="utf-8", newline="") as file:
                rows = csv.writer(file)
                rows.writerow(("account_id", "end_user_id", "link"))
                rows.writerows(
                    (one.account_id, one.end_user_id or "", f"{address.rstrip('/')}/appeal/{one.token}")
                    for one in made
                )
            (stage / out.name).chmod(0o600)  # whoever has a link may object by it
    typer.echo(f"{quantity(len(made), 'link')} in {out}")
    if later:
        typer.echo(f"{later:,} are not hit yet: a link would tell them what is coming; come back")


def _check_address(address: str) -> None:
    """Refuse where a link would be read on the way, or would not be one any more with its path behind."""
    from urllib.parse import urlsplit

    from stillwatch.response.address import is_unread_on_the_way

    if not is_unread_on_the_way(address):
        raise typer.BadParameter(
            "the accused must reach it by https://, or http:// on this machine", param_hint="--address"
        )
    parts = urlsplit(address)
    if parts.username or parts.password or "?" in address or "#" in address:
        raise typer.BadParameter("give the place alone, without a user, ? or #", param_hint="--address")


@app.command("list")
def list_appeals(store: str = STORE, state: str = STATE, start: int = START, as_json: bool = AS_JSON) -> None:
    """List appeals, those that wait longest first."""
    from stillwatch.report.wording import printable
    from stillwatch.store.appeals import STATES, all_appeals

    if state not in {*STATES, "all"}:
        raise typer.BadParameter(f"{state!r} is none of {', '.join(STATES)}, all", param_hint="--state")
    with opened_store(store) as opened:
        found = all_appeals(opened, None if state == "all" else state, start)
    if as_json:
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False, default=str))
        return
    for row in found["rows"]:
        whom = row["account_id"] + (f"/{row['end_user_id']}" if row["end_user_id"] else "")
        typer.echo(
            printable(
                f"{row['id']}  {row['state']:8}  {row['case_id']}  decision {row['decision_id']}  {whom}"
            )
        )
    told = ", ".join(f"{count:,} {name}" for name, count in found["counts"].items())
    more = f"; more with --start {start + len(found['rows'])}" if found["more"] else ""
    typer.echo(told + more)


@app.command("show")
def show(number: int = NUMBER, store: str = STORE) -> None:
    """Print an appeal with its decision, as JSON."""
    from stillwatch.store.appeals import appeal

    with opened_store(store) as opened:
        typer.echo(json.dumps(appeal(opened, number), indent=1, ensure_ascii=False, default=str))


@app.command("answer")
def answer(
    number: int = NUMBER,
    outcome: str = OUTCOME,
    answer: str = ANSWER,
    store: str = STORE,
    by: str | None = BY,
) -> None:
    """Uphold or reverse, as another person than those who decided; reversed, it ends at once for whoever objected."""
    from stillwatch.store.appeals import answer_appeal

    with opened_store(store) as opened:
        answer_appeal(opened, number, who(by), outcome, answer, now())
    typer.echo(f"appeal {number} is {outcome}")


@app.command("reopen")
def reopen(number: int = NUMBER, reason: str = WHY, store: str = STORE, by: str | None = BY) -> None:
    """Take an answer back; what it had ended holds again."""
    from stillwatch.store.appeals import reopen as run

    with opened_store(store) as opened:
        run(opened, number, who(by), reason, now())
    typer.echo(f"appeal {number} waits for an answer again")


@app.command("revoke")
def revoke(number: int = NUMBER, reason: str = WHY, store: str = STORE, by: str | None = BY) -> None:
    """Make a link useless by which nobody has objected."""
    from stillwatch.store.appeals import revoke as run

    with opened_store(store) as opened:
        run(opened, number, who(by), reason, now())
    typer.echo(f"the link of appeal {number} leads nowhere now")

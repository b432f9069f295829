"""``stillwatch review``: people decide on what a scan found, and take it back."""

from __future__ import annotations

import datetime as dt
import getpass
import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from stillwatch.response.decision import Preview, Wanted
    from stillwatch.response.policy import Policy
    from stillwatch.store.database import Store

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Decide on what a scan found: see whom it hits first, act, take it back.",
)

DATABASE = "stillwatch-review.db"
"""Where nobody names another."""
STORE = typer.Option(
    DATABASE,
    "--store",
    metavar="FILE|URL",
    envvar="STILLWATCH_STORE",
    help="Database of cases and decisions: a file (SQLite, made if need be), or postgresql://user@host/database.",
)
BY = typer.Option(
    None,
    "--by",
    metavar="NAME",
    help="Who does it; by default the name that you are logged in with. It is taken on trust.",
)
POLICY = typer.Option(
    None,
    "--policy",
    metavar="FILE",
    help="policy.toml: when a second person must approve, and how long actions hold.",
)
AS_JSON = typer.Option(False, "--json", help="Print JSON.")
DIRECTORY = typer.Argument(..., metavar="DIR", help="Folder that a scan wrote.")
CASE = typer.Argument(..., metavar="CASE", help="A case, by its id or that of one of its campaigns.")
NUMBER = typer.Argument(..., metavar="NUMBER", help="Number of the decision.")
WHY = typer.Option(..., "--reason", metavar="TEXT", help="Why; kept with the decision and in the audit log.")
ACTION = typer.Option(
    "observe",
    "--action",
    help="observe, throttle, hide_reasoning, cap_logprobs, restrict_tier, step_up or suspend.",
)
FINDING = typer.Option("extraction", "--finding", help="extraction, innocent, licensed or unsure.")
ACCOUNT = typer.Option(None, "--account", metavar="ID", help="This account alone.")
END_USER = typer.Option(None, "--end-user", metavar="ID", help="This end user of the account alone.")
FAMILY = typer.Option(None, "--family", metavar="ID", help="Only requests of this family.")
SET = typer.Option(
    [],
    "--set",
    metavar="NAME=VALUE",
    help="Parameter of the action, such as requests_per_minute=2 or models=small-1,small-2. May repeat.",
)
LASTS = typer.Option(None, "--lasts", metavar="SPAN", help="How long it holds, such as 14d.")
SPREAD = typer.Option(
    None,
    "--spread",
    metavar="SPAN",
    help="It begins for each principal at a random moment of this span, such as 6h.",
)
FOLLOWS = typer.Option(
    False, "--follows", help="It hits principals too who join the case later, as many as the policy allows."
)


@app.command("load")
def load(
    directory: Path = DIRECTORY, store: str = STORE, by: str | None = BY, policy: Path | None = POLICY
) -> None:
    """Load the result of a scan: its campaigns open cases, or continue those that are there."""
    from stillwatch.store.loading import load as run

    with opened_store(store) as opened:
        loaded = run(opened, directory, who(by), opened_policy(policy), now())
    typer.echo(f"scan {loaded.scan_id}: {len(loaded.opened)} opened, {len(loaded.continued)} continued")
    for case, count in loaded.joined.items():
        typer.echo(f"{case}: {count:,} principals have joined")
    if loaded.followed:
        typer.echo(f"{loaded.followed:,} of them are hit by a decision that follows its case")
    if loaded.reopened:
        typer.echo(f"{loaded.reopened:,} come back: their actions have ended and they go on")
    if loaded.proposed:
        typer.echo(f"{loaded.proposed:,} proposed by rules; see `stillwatch policy list`")


@app.command("list")
def list_cases(
    store: str = STORE,
    state: str | None = typer.Option(None, "--state", help="new, in_review, decided or appealed."),
    order: str = typer.Option("certainty", "--order", help="certainty, size or age."),
    start: int = typer.Option(0, "--start", min=0, help="Cases that are left out at the top."),
    as_json: bool = AS_JSON,
) -> None:
    """List the cases."""
    from stillwatch.store.cases import APPEALED, ORDERS, STATES, queue

    _one_of("--state", state, (None, *STATES, APPEALED))
    _one_of("--order", order, tuple(ORDERS))
    with opened_store(store) as opened:
        found = queue(opened, state, order, start)
    if as_json:
        _print(found)
        return
    for row in found["rows"]:
        typer.echo(_line(row))
    told = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in found["counts"].items())
    more = f"; more with --start {start + len(found['rows'])}" if found["more"] else ""
    typer.echo(told + more)


@app.command("show")
def show(name: str = CASE, store: str = STORE, as_json: bool = AS_JSON) -> None:
    """Show a case: what speaks for it and against it, and what was decided."""
    from stillwatch.report.wording import percent, printable
    from stillwatch.store.cases import case, members

    with opened_store(store) as opened:
        found = case(opened, name)
        found["participants"] = members(opened, found["id"], found["scan_id"])
    if as_json:
        _print(found)
        return
    lines = [_line(found), f"version {found['version']}, with {found['assignee'] or 'nobody'}"]
    for campaign in found["campaigns"]:
        lines += ["", f"{campaign['campaign_id']}: {campaign['verdict']}, {percent(campaign['probability'])}"]
        lines += [f"  + {reason}" for reason in campaign["reasons"]]
        lines += [f"  - {reason}" for reason in campaign["counter_evidence"]]
        lines += [f"  family {one['family_id']}: {one['exchanges']:,}" for one in campaign["families"][:10]]
    for one in found["decisions"]:
        lines += ["", *_decision(one)]
    typer.echo(printable("\x00".join(lines)).replace("\\u0000", "\n"))


@app.command("take")
def take(
    name: str = CASE,
    store: str = STORE,
    by: str | None = BY,
    over: bool = typer.Option(False, "--over", help="Also from whoever has it."),
) -> None:
    """Take a case, so that nobody else works on it."""
    from stillwatch.store.cases import take as run

    with opened_store(store) as opened:
        typer.echo(f"{run(opened, name, who(by), now(), over=over)} is yours")


@app.command("release")
def release(name: str = CASE, store: str = STORE, by: str | None = BY) -> None:
    """Give a case back."""
    from stillwatch.store.cases import release as run

    with opened_store(store) as opened:
        typer.echo(f"{run(opened, name, who(by), now())} is nobody's")


@app.command("preview")
def preview(
    name: str = CASE,
    action: str = ACTION,
    finding: str = FINDING,
    account: str | None = ACCOUNT,
    end_user: str | None = END_USER,
    family: str | None = FAMILY,
    parameters: list[str] = SET,
    store: str = STORE,
    by: str | None = BY,
    policy: Path | None = POLICY,
    as_json: bool = AS_JSON,
) -> None:
    """Show exactly whom a decision would hit, and how many of them are probably innocent. Nothing is changed."""
    from stillwatch.store.decisions import preview as run

    wanted = _wanted(name, action, finding, "a preview", account, end_user, family, parameters)
    with opened_store(store) as opened:
        shown = run(opened, wanted, opened_policy(policy), by=(who(by), now()))
    if as_json:
        _print(shown.as_json())
        return
    for hit in shown.hits:
        typer.echo(
            f"{hit.account_id}{f'/{hit.end_user_id}' if hit.end_user_id else ''}  "
            f"{hit.extraction_exchanges:,} of {hit.exchanges:,}"
        )
    typer.echo(_summary(shown))


@app.command("decide")
def decide(
    name: str = CASE,
    action: str = ACTION,
    finding: str = FINDING,
    reason: str = WHY,
    account: str | None = ACCOUNT,
    end_user: str | None = END_USER,
    family: str | None = FAMILY,
    parameters: list[str] = SET,
    lasts: str | None = LASTS,
    spread: str | None = SPREAD,
    follows: bool = FOLLOWS,
    seen: int | None = typer.Option(
        None, "--seen", metavar="VERSION", help="Version of the case that you saw; where it changed, stop."
    ),
    store: str = STORE,
    by: str | None = BY,
    policy: Path | None = POLICY,
) -> None:
    """Decide on a case, a family of it or a principal; a large decision waits for a second person."""
    from stillwatch.store.decisions import begins
    from stillwatch.store.decisions import decide as run
    from stillwatch.store.decisions import preview as look

    wanted = _wanted(
        name, action, finding, reason, account, end_user, family, parameters, lasts, spread, follows=follows
    )
    limits = opened_policy(policy)
    with opened_store(store) as opened:
        shown = look(opened, wanted, limits, by=(who(by), now()))
        number = run(opened, wanted, who(by), limits, now(), seen)
        span = begins(opened, number)
    typer.echo(_summary(shown))
    typer.echo(f"decision {number} waits for approval" if shown.approval else _stands(number, span))


@app.command("approve")
def approve(number: int = NUMBER, store: str = STORE, by: str | None = BY) -> None:
    """Let a proposed decision stand, as a second person."""
    from stillwatch.store.decisions import approve as run
    from stillwatch.store.decisions import begins

    with opened_store(store) as opened:
        run(opened, number, who(by), now())
        span = begins(opened, number)
    typer.echo(_stands(number, span))


@app.command("refuse")
def refuse(number: int = NUMBER, reason: str = WHY, store: str = STORE, by: str | None = BY) -> None:
    """Turn a proposed decision down, or withdraw your own."""
    from stillwatch.store.decisions import refuse as run

    with opened_store(store) as opened:
        run(opened, number, who(by), reason, now())
    typer.echo(f"decision {number} is refused")


@app.command("undo")
def undo(number: int = NUMBER, reason: str = WHY, store: str = STORE, by: str | None = BY) -> None:
    """Take a standing decision back; what it had ended stands again."""
    from stillwatch.store.decisions import undo as run

    with opened_store(store) as opened:
        run(opened, number, who(by), reason, now())
    typer.echo(f"decision {number} is taken back")


def _wanted(
    name: str, action: str, finding: str, reason: str, account: str | None, end_user: str | None,
    family: str | None, parameters: list[str], lasts: str | None = None, spread: str | None = None,
    *, follows: bool = False,
) -> Wanted:  # fmt: skip
    from stillwatch.response.actions import Action, Finding, Scope
    from stillwatch.response.decision import Wanted
    from stillwatch.response.policy import span

    _one_of("--action", action, tuple(Action))
    _one_of("--finding", finding, tuple(Finding))
    scope = Scope.PRINCIPAL if account else Scope.FAMILY if family else Scope.CAMPAIGN
    return Wanted(
        name, Finding(finding), Action(action), reason, scope, account, end_user, family,
        dict(_parameter(text) for text in parameters), span(lasts) if lasts else None,
        span(spread) if spread else None, follows,
    )  # fmt: skip


def _parameter(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator:
        raise typer.BadParameter(
            f"{text!r} is not NAME=VALUE, such as requests_per_minute=2", param_hint="--set"
        )
    if name == "models":
        return name, [one for one in value.split(",") if one]
    return name, int(value) if value.isdecimal() else value


def _one_of(option: str, given: str | None, allowed: tuple[str | None, ...]) -> None:
    if given not in allowed:
        known = ", ".join(str(one) for one in allowed if one)
        raise typer.BadParameter(f"{given!r} is none of {known}", param_hint=option)


def opened_store(place: str) -> closing[Store]:
    """The store of a place, closed at the end of the block."""
    from stillwatch.store import require_extra

    require_extra()
    from stillwatch.store.database import open_store

    return closing(open_store(place))


def noted(store: Store, by: str, kind: str, told: dict[str, Any]) -> None:
    """An entry of the audit log about the store as a whole."""
    from stillwatch.store import audit

    with store.writing() as connection:
        audit.append(connection, now(), by, kind, "store", told)


def opened_policy(path: Path | None) -> Policy:
    """The policy of a file, or the one that is built in."""
    from stillwatch.response.policy import Policy, read_policy

    return Policy() if path is None else read_policy(path)


def who(by: str | None) -> str:
    """The name that was given, or that of the login."""
    return by or getpass.getuser()


def now() -> dt.datetime:
    """The moment, in UTC."""
    return dt.datetime.now(dt.UTC)


def _print(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, dt.datetime) else str(value)


def _line(row: dict[str, Any]) -> str:
    from stillwatch.report.wording import percent

    return (
        f"{row['id']}  {row['state'].replace('_', ' '):9}  {row['verdict']:12} {percent(row['probability']):>10}  "
        f"{row['exchanges']:,} exchanges, {row['principals']:,} principals"
    )


def _decision(one: dict[str, Any]) -> list[str]:
    until = f", until {one['until']:%Y-%m-%d %H:%M} UTC" if one["until"] else ""
    lines = [
        f"decision {one['id']} {one['state']}: {one['finding']}, {one['action']} ({one['scope']}), "
        f"{one['hit'] - one['lifted']:,} principals{until}",
        f"  by {one['asked_by']}{', with ' + one['approved_by'] if one['approved_by'] else ''}: {one['reason']}",
    ]
    if one["state"] == "proposed":
        lines.append(f"  waits: {one['approval']}")
    if one["ended_because"]:
        lines.append(f"  ended by {one['ended_by']}: {one['ended_because']}")
    return lines


def _stands(number: int, span: tuple[dt.datetime, dt.datetime] | None) -> str:
    """That a decision stands, and from when it holds where that is not now."""
    stands = f"decision {number} stands"
    if span is None or span[1] <= now():
        return stands
    first, last = (f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in span)
    if first == last:
        return f"{stands}; it holds from {first}, a moment drawn from --spread"
    return f"{stands}; it holds for the first of them from {first} and for the last from {last}, moments drawn from --spread"


def _summary(shown: Preview) -> str:
    told = shown.as_json()
    lines = [
        f"hits {told['principals']:,} principals of {told['accounts']:,} accounts; innocent by expectation: "
        f"{told['expected_innocent']:.2g} (they stand or fall together)"
    ]
    if shown.families:
        lines.append(f"only requests of the family: {shown.matched:,} in the log")
    elif told["ordinary_exchanges"]:
        lines.append(f"{told['ordinary_exchanges']:,} of their exchanges are outside of the campaign")
    if shown.cleared:
        lines.append(f"{shown.cleared:,} who were cleared are left out")
    if shown.cleared_families:
        from stillwatch.report.wording import quantity

        lines.append(
            f"cleared of the case: {quantity(shown.cleared_families, 'family')}, whose requests are hit too; to let "
            "them be, decide on the others by --family"
        )
    if shown.approval:
        lines.append(f"a second person must approve: {shown.approval}")
    return "\n".join(lines)

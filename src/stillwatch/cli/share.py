"""``stillwatch export`` and ``stillwatch import``: campaigns to peers, and what peers said to a scan."""

from __future__ import annotations

import datetime as dt
import getpass
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from stillwatch.peers import Peers
    from stillwatch.share.finding import Shared
    from stillwatch.share.intake import Taken

FORMATS = {
    "stix": ("stillwatch.share.stix", ("stix2",)),
    "misp": ("stillwatch.share.misp", ("pymisp",)),
    "ocsf": ("stillwatch.share.ocsf", ()),
    "sigma": ("stillwatch.share.sigma", ()),
    "csv": ("stillwatch.share.csv_rows", ()),
}
"""Where each format is written, and which libraries of the extra it takes."""

RESULT = typer.Argument(..., metavar="RESULT", help="Folder of a scan that was given --circle-key.")
CAMPAIGNS = typer.Argument(None, metavar="[CAMPAIGN]...", help="Campaigns of the result, by id.")
BUNDLES = typer.Argument(..., metavar="BUNDLE...", help="STIX bundles, or URLs of TAXII collections.")
CIRCLE_KEY = typer.Option(..., "--circle-key", metavar="FILE", help="Key that is shared with peers.")
INTO = typer.Option(
    Path("peers.json"), "--into", metavar="FILE", help="Where to keep it; what is there already is kept too."
)
FORMAT = typer.Option("stix", "--format", help="stix, misp, ocsf, sigma or csv.")
OUT = typer.Option(None, "--out", metavar="FILE", help="File to write.")
TAXII = typer.Option(
    None,
    "--taxii",
    metavar="URL",
    help="TAXII 2.1 collection to add the bundle to: https://HOST/API-ROOT/collections/ID/.",
)
USER = typer.Option(None, "--taxii-user", metavar="NAME", help="Name at the TAXII server.")
PASSWORD = typer.Option(
    None,
    envvar="STILLWATCH_TAXII_PASSWORD",
    hidden=True,
    help="Only by the environment: a command line is seen by others.",
)
MARK = typer.Option("amber", "--tlp", help="clear, green, amber, amber+strict or red: how far it may travel.")
ANSWERS = typer.Option(
    False,
    "--answers",
    help="Say of each peer's campaign that was found in this result whether its evidence agrees.",
)
NAME = typer.Option("a stillwatch instance", "--as", metavar="NAME", help="What peers call this house.")
VALID = typer.Option("180d", "--valid", metavar="SPAN", help="How long templates are worth looking for.")
VALID_ADDRESSES = typer.Option("3d", "--valid-addresses", metavar="SPAN", help="The same of addresses.")
ACCOUNTS = typer.Option(100, "--accounts", min=0, help="Accounts of a campaign at most, as HMAC.")
TAKE_BACK = typer.Option(
    False, "--take-back", help="Say of campaigns that were exported from this result that they hold no more."
)
STORE = typer.Option(
    None,
    "--store",
    metavar="FILE|URL",
    envvar="STILLWATCH_STORE",
    help="Database of the review, for its audit log; left out: stillwatch-review.db, made where there is none.",
)
BY = typer.Option(
    None, "--by", metavar="NAME", help="Who does it; by default the name that you are logged in with."
)


def export(
    result: Path = RESULT,
    campaigns: list[str] | None = CAMPAIGNS,
    circle_key: Path = CIRCLE_KEY,
    format: str = FORMAT,
    out: Path | None = OUT,
    taxii: str | None = TAXII,
    taxii_user: str | None = USER,
    taxii_password: str | None = PASSWORD,
    tlp: str = MARK,
    answers: bool = ANSWERS,
    take_back: bool = TAKE_BACK,
    name: str = NAME,
    valid: str = VALID,
    valid_addresses: str = VALID_ADDRESSES,
    accounts: int = ACCOUNTS,
    store: str | None = STORE,
    by: str | None = BY,
) -> None:
    """Write campaigns of a result for peers: minimised, keyed and marked."""
    from stillwatch.keys import Keys, with_circle
    from stillwatch.outputs import staged
    from stillwatch.peers import Tlp
    from stillwatch.report.wording import quantity
    from stillwatch.response.policy import span
    from stillwatch.share import require_extra
    from stillwatch.share.finding import Asked, gather

    _one_of("--format", format, tuple(FORMATS))
    _one_of("--tlp", tlp, tuple(map(str, Tlp)))
    if (out is None) == (taxii is None):
        raise typer.BadParameter("give --out FILE or --taxii URL", param_hint="--out")
    if taxii is not None and format != "stix":
        raise typer.BadParameter("a TAXII server takes stix", param_hint="--format")
    if take_back and (format != "stix" or answers):
        raise typer.BadParameter("it takes campaigns and the format stix alone", param_hint="--take-back")
    module, libraries = FORMATS[format]
    require_extra(*libraries)
    named = tuple(campaigns or ())
    asked = Asked(
        named, answers, name, Tlp(tlp), span(valid), span(valid_addresses), accounts,
        {} if take_back else _let_be(store, named), take_back,
    )  # fmt: skip
    # The local key takes no part in an export: the result has the public name of the one that it was made with.
    keys = with_circle(Keys(local=bytes(32)), circle_key)
    shared = gather(result, asked, keys, _now())
    # The entry comes first: what was handed out without one could not be traced.
    where = "a file" if taxii is None else "a TAXII server"
    kind = "bundle.taken_back" if take_back else "bundle.exported"
    _log(store, by, kind, _exported(shared, format, where))
    if out is not None:
        with staged(out.parent, what=f"the bundle {out}", seals=()) as stage:
            importlib.import_module(module).write(shared, stage / out.name)
        told = f"in {out}"
    else:
        told = f"at the TAXII server: {_push(shared, str(taxii), taxii_user, taxii_password):,} objects"
    said = f"{quantity(len(shared.findings), 'campaign')} and {quantity(len(shared.answers), 'answer')}"
    typer.echo(f"{said}{' taken back' if take_back else ''} {told}, TLP:{tlp.upper()}")


def import_bundles(
    bundles: list[str] = BUNDLES,
    circle_key: Path = CIRCLE_KEY,
    into: Path = INTO,
    taxii_user: str | None = USER,
    taxii_password: str | None = PASSWORD,
    store: str | None = STORE,
    by: str | None = BY,
) -> None:
    """Keep what peers said for the next scan; evidence with bits of its own, never a verdict."""
    from stillwatch.keys import Keys, with_circle
    from stillwatch.outputs import staged, write_json
    from stillwatch.peers import Peers, merge, read_peers, to_json
    from stillwatch.share import ShareError
    from stillwatch.share.intake import read_bundle, take

    circle = str(with_circle(Keys(local=bytes(32)), circle_key).circle_name)
    before = read_peers(into, circle) if into.exists() else Peers(circle, ())
    at = _now()
    objects: list[Any] = []
    for bundle in bundles:
        objects += (
            _pulled(bundle, taxii_user, taxii_password) if "://" in bundle else read_bundle(Path(bundle))
        )
    taken = take(objects, circle, at)
    if taken.foreign and not taken.peers.campaigns:
        raise ShareError(
            f"all {taken.foreign} templates are under the key of another circle, and none can be compared; give the key "
            "that the peer has"
        )
    kept = merge(circle, [_without(before, taken.revoked, at), taken.peers])
    _log(store, by, "bundle.imported", _imported(taken))
    with staged(into.parent, what=f"what peers said into {into}", seals=()) as stage:
        write_json(to_json(kept), stage / into.name)
    typer.echo(_told(taken, kept, into))


def _let_be(store: str | None, campaigns: tuple[str, ...]) -> dict[str, frozenset[tuple[str, str | None]]]:
    """By campaign, whom people cleared. Refuses one that they cleared as a whole, where there is a store to ask."""
    from stillwatch.cli.review import DATABASE, opened_store
    from stillwatch.share import ShareError

    if store is None and not Path(DATABASE).is_file():
        return {}
    found = {}
    with opened_store(store or DATABASE) as opened:
        from stillwatch.store.reading import clearings

        for campaign in campaigns:
            decision, found[campaign] = clearings(opened, campaign)
            if decision is not None:
                raise ShareError(
                    f"{campaign} was cleared by decision {decision}, and peers would hear an accusation; undo that first or "
                    "leave it out; what they heard before is taken back with --take-back"
                )
    return found


def _push(shared: Shared, url: str, user: str | None, password: str | None) -> int:
    from stillwatch.share.stix import for_server
    from stillwatch.share.taxii import Collection

    return Collection(url, user, password).push(for_server(shared))


def _pulled(url: str, user: str | None, password: str | None) -> list[Any]:
    from stillwatch.share import require_extra

    require_extra("requests")
    from stillwatch.share.taxii import Collection

    return list(Collection(url, user, password).pull())


def _without(peers: Peers, revoked: frozenset[str], at: dt.datetime) -> Peers:
    """What is kept already, without what a peer took back and what has expired."""
    from dataclasses import replace

    kept = [one for one in peers.campaigns if one.id not in revoked and one.valid_until > at]
    return replace(peers, campaigns=tuple(kept))


def _exported(shared: Shared, format: str, where: str) -> dict[str, Any]:
    return {
        "format": format,
        "to": where,
        "tlp": str(shared.tlp),
        "circle": shared.circle,
        "campaigns": [one.campaign_id for one in shared.findings],
        "answers": [one.campaign for one in shared.answers],
    }


def _imported(taken: Taken) -> dict[str, Any]:
    return {
        "circle": taken.peers.circle,
        "campaigns": [one.id for one in taken.peers.campaigns],
        "peers": sorted({one.peer_id for one in taken.peers.campaigns}),
        "revoked": sorted(taken.revoked),
        "expired": taken.expired,
        "foreign": taken.foreign,
        "unread": taken.unread,
    }


def _told(taken: Taken, kept: Peers, into: Path) -> str:
    from stillwatch.report.wording import quantity

    came = taken.peers.campaigns
    templates = sum(len(one.templates) for one in came)
    peers = len({one.peer_id for one in came})
    return (
        f"{quantity(len(came), 'campaign')} of {quantity(peers, 'peer')} with {quantity(templates, 'template')}; "
        f"{taken.expired} expired, {len(taken.revoked)} taken back, {taken.foreign} under the key of another circle, "
        f"{taken.unread} objects that could not be read. {into} holds {quantity(len(kept.campaigns), 'campaign')}"
    )


def _log(store: str | None, by: str | None, kind: str, told: dict[str, Any]) -> None:
    """Write the entry of the audit log; an install that can keep none says so."""
    from stillwatch.cli.review import DATABASE, opened_store
    from stillwatch.store import StoreError, require_extra

    if store is None and not Path(DATABASE).is_file():
        try:
            require_extra()
        except StoreError as error:
            typer.echo(f"no entry of an audit log is kept: {error}", err=True)
            return
    with opened_store(store or DATABASE) as opened:
        from stillwatch.store import audit

        with opened.writing() as connection:
            audit.append(connection, _now(), by or getpass.getuser(), kind, "sharing", told)


def _one_of(option: str, given: str, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        raise typer.BadParameter(f"{given!r} is none of {', '.join(allowed)}", param_hint=option)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)

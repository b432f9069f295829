"""Why one campaign, family, account or end user was judged as it was, in plain text for a terminal."""

from __future__ import annotations

import heapq
import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stillwatch.report.headline import objectives
from stillwatch.report.wording import (
    count,
    one_in,
    percent,
    period,
    principal_name,
    printable,
    quantity,
    share,
    signed_bits,
    spoken,
)

COLUMNS = 88
CLOSEST = 3
LISTED_END_USERS = 10
AGAIN = "run `stillwatch scan` into this folder again."
FILES = ("campaigns.json", "families.parquet", "accounts.parquet", "overview.json", "report.html")
"""What a whole result holds; a scan that was killed while it moved its files leaves the last two out."""
NOTHING_AGAINST = "nothing that was measured"


class ExplainError(Exception):
    """An explanation that cannot be given; the text says what is wrong and what to do."""


class UnknownIdError(ExplainError):
    """An id that is no campaign, family or principal of the result."""


class MissingResultError(ExplainError):
    """A folder that does not hold the result of a scan."""


def explain(out_dir: Path, id: str) -> str:
    """Explain a campaign, a family, an account or ``account/end_user`` of the result in a folder."""
    _require_whole(out_dir)
    campaigns = _campaigns(out_dir / "campaigns.json")
    for campaign in campaigns:
        if campaign["campaign_id"] == id:
            return _joined(_campaign(campaign))
    for row in _rows(out_dir / "families.parquet", "family_id", [id]):
        return _joined(_family(row, campaigns))
    rows = _principal(out_dir / "accounts.parquet", id)
    if rows:
        return _joined(_account(rows, campaigns))
    raise UnknownIdError(_unknown(out_dir, id, campaigns))


def _require_whole(out_dir: Path) -> None:
    missing = [name for name in FILES if not (out_dir / name).is_file()]
    if len(missing) == len(FILES):
        raise MissingResultError(
            f"{out_dir} has no {missing[0]}; give a folder that `stillwatch scan LOG --out DIR` wrote."
        )
    if missing:
        raise MissingResultError(
            f"the result in {out_dir} is incomplete, it has no {missing[0]}: a scan was stopped while it "
            f"put its files there, or one was removed; {AGAIN}"
        )


def _campaigns(path: Path) -> list[dict[str, Any]]:
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise MissingResultError(f"{path} cannot be read: {problem.strerror}; {AGAIN}") from problem
    except ValueError as problem:
        raise MissingResultError(f"{path} is not JSON; {AGAIN}") from problem
    if not isinstance(result, list):
        raise MissingResultError(f"{path} is not a list of campaigns; {AGAIN}")
    return result


def _rows(path: Path, column: str, wanted: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a result table of which one column has one of the values."""
    return _table(path, filters=[(column, "in", list(wanted))])


def _table(path: Path, **narrowed: Any) -> list[dict[str, Any]]:
    try:
        rows = pq.read_table(path, page_checksum_verification=True, **narrowed).to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as problem:
        raise MissingResultError(f"{path} cannot be read as Parquet; {AGAIN}") from problem
    return list(rows)


def _principal(path: Path, wanted: str) -> list[dict[str, Any]]:
    """The account's own row and its end users', or the one end user's row; ids may hold slashes."""
    splits = [place for place, character in enumerate(wanted) if character == "/"]
    rows = _rows(path, "account_id", [wanted, *(wanted[:place] for place in splits)])
    account = [row for row in rows if row["account_id"] == wanted]
    if account:
        return sorted(account, key=lambda row: (row["end_user_id"] is not None, row["end_user_id"] or ""))
    return [
        row
        for row in rows
        if row["end_user_id"] is not None and principal_name(row["account_id"], row["end_user_id"]) == wanted
    ]


def _campaign(campaign: Mapping[str, Any]) -> list[str]:
    scale, intent = campaign["scale"], campaign["intent"]
    lines = [
        f"Campaign {campaign['campaign_id']}: {spoken(campaign['verdict'])}",
        f"{percent(campaign['probability'])} at a prior of {one_in(campaign['prior'])} "
        f"({signed_bits(campaign['evidence_bits'])} bits); "
        + "; ".join(
            f"{percent(item['probability'])} at {one_in(item['prior'])}" for item in campaign["posterior"]
        ),
        f"{count(scale['exchanges'])} exchanges ({share(scale['share_of_traffic'])} of traffic) of "
        f"{quantity(scale['principals'], 'principal')} in {quantity(scale['accounts'], 'account')}, "
        f"{period(campaign['first_seen'], campaign['last_seen'])}",
        *_section("Reasons", campaign["reasons"]),
        *_section("What speaks against", campaign["counter_evidence"] or [NOTHING_AGAINST]),
        *_section(
            "Three questions",
            [
                f"consent ({spoken(campaign['consent']['status'])}): {campaign['consent']['reason']}",
                f"scale: {scale['reason']}",
                f"intent ({objectives(campaign)}): {intent['reason']}",
            ],
        ),
        *_section("Evidence, in bits (positive speaks for extraction)", _evidence(campaign["evidence"])),
        *_section(
            "Not measured", [f"{spoken(item['signal'])}: {item['why']}" for item in campaign["silent"]]
        ),
        *_section(
            "Closest innocent families",
            [_innocent(item) for item in campaign["closest_innocent"]],
        ),
        *_section("What would change this verdict", campaign["would_change"]),
    ]
    return lines


def _evidence(items: Iterable[Mapping[str, Any]]) -> list[str]:
    ranked = sorted(items, key=lambda item: (-item["bits"], item["signal"]))
    return [f"{signed_bits(item['bits'])} {spoken(item['signal'])}: {item['reason']}" for item in ranked]


def _innocent(item: Mapping[str, Any]) -> str:
    differs = f"; differs: {'; '.join(item['differs'])}" if item["differs"] else ""
    verdict, bits = spoken(item["verdict"]), signed_bits(item["evidence_bits"])
    takes = f"; an accusation takes {signed_bits(item['needed_bits'])}" if "needed_bits" in item else ""
    return f"{item['family_id']} ({verdict}, {bits} bits{takes}){differs}"


def _family(row: Mapping[str, Any], campaigns: Sequence[Mapping[str, Any]]) -> list[str]:
    objective = row["objective"]
    return [
        f"Family {row['family_id']}: {spoken(row['verdict'])}",
        f"found in {row['role']} text; {quantity(row['exchanges'], 'exchange')} of "
        f"{quantity(row['principals'], 'principal')} in {quantity(row['accounts'], 'account')}, "
        f"{period(row['first_seen'], row['last_seen'])}",
        f"{signed_bits(row['evidence_bits'])} bits of evidence"
        + (f"; asks for {spoken(objective)}" if objective and objective != "none" else ""),
        *_section("Reasons", row["reasons"] or ["none was recorded"]),
        *_belongs(row["campaign_id"], campaigns),
    ]


def _account(rows: Sequence[Mapping[str, Any]], campaigns: Sequence[Mapping[str, Any]]) -> list[str]:
    first = rows[0]
    kind = "Account" if first["end_user_id"] is None else "End user"
    lines = [
        f"{kind} {principal_name(first['account_id'], first['end_user_id'])}: {spoken(first['verdict'])}",
        f"{quantity(first['exchanges'], 'exchange')}, {count(first['extraction_exchanges'])} of them in "
        f"extraction campaigns, {period(first['first_seen'], first['last_seen'])}",
    ]
    if first["verdict"] != "none":
        lines.append(f"{percent(first['probability'])} ({signed_bits(first['evidence_bits'])} bits)")
    lines.extend(_section("Reasons", first["reasons"] or ["no finding speaks about it"]))
    lines.extend(_belongs(first["campaign_id"], campaigns))
    users = rows[1:]
    told = [
        f"{principal_name(row['account_id'], row['end_user_id'])}: {spoken(row['verdict'])}" for row in users
    ]
    lines.extend(_section("End users with a verdict of their own", told[:LISTED_END_USERS]))
    if len(told) > LISTED_END_USERS:
        lines.append(f"  and {count(len(told) - LISTED_END_USERS)} more in accounts.parquet")
    return lines


def _belongs(campaign_id: str | None, campaigns: Sequence[Mapping[str, Any]]) -> list[str]:
    """The campaign behind a family or a principal, with what speaks for and against it."""
    for campaign in campaigns:
        if campaign["campaign_id"] == campaign_id:
            return [
                "",
                f"It belongs to campaign {campaign_id}: {spoken(campaign['verdict'])}, "
                f"{percent(campaign['probability'])}",
                *_section("Why the campaign", campaign["reasons"]),
                *_section("What speaks against", campaign["counter_evidence"] or [NOTHING_AGAINST]),
                *_section("What would change this verdict", campaign["would_change"]),
            ]
    return []


def _section(title: str, items: Sequence[str]) -> list[str]:
    return ["", title, *(f"- {item}" for item in items)] if items else []


def _joined(lines: Iterable[str]) -> str:
    """Wrapped lines, with what a log could smuggle into a terminal made visible."""
    wrapped: list[str] = []
    for line in lines:
        indent = "    " if line.startswith("- ") else ""
        first = "  " if line.startswith("- ") else ""
        wrapped.extend(
            textwrap.wrap(
                printable(line),
                COLUMNS,
                initial_indent=first,
                subsequent_indent=indent,
                break_long_words=False,
                break_on_hyphens=False,
            )
            or [""]
        )
    return "\n".join(wrapped) + "\n"


def _unknown(out_dir: Path, wanted: str, campaigns: Sequence[Mapping[str, Any]]) -> str:
    known = [str(campaign["campaign_id"]) for campaign in campaigns]
    known += [row["family_id"] for row in _table(out_dir / "families.parquet", columns=["family_id"])]
    principals = _table(out_dir / "accounts.parquet", columns=["account_id", "end_user_id"])
    known += [principal_name(row["account_id"], row["end_user_id"]) for row in principals]
    near = closest(wanted, known)
    hint = f"The closest: {', '.join(near)}." if near else "Nothing in it is close."
    return printable(
        f"{wanted!r} is no campaign, family, account or account/end_user in {out_dir}. {hint} "
        "All ids are in campaigns.json, families.parquet and accounts.parquet."
    )


def closest(wanted: str, known: Iterable[str]) -> list[str]:
    """Known ids that share most of their beginning and end with the wanted one; one typo costs one.

    >>> closest("acct-00l7", ["acct-0017", "acct-0099", "f-12"])
    ['acct-0017', 'acct-0099']
    """

    def shared(candidate: str) -> int:
        begin = _shared_start(wanted, candidate)
        end = _shared_start(wanted[begin:][::-1], candidate[begin:][::-1])
        return 2 * (begin + end) - abs(len(candidate) - len(wanted))

    near = heapq.nsmallest(CLOSEST, ((-shared(candidate), candidate) for candidate in set(known)))
    return [candidate for score, candidate in near if -score >= len(wanted)]


def _shared_start(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))

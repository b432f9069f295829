"""The pages of review and the addresses by which a benchmark asks for each, drawn over the whole store."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fastapi.routing import APIRoute

from stillwatch.review.application import ROUTERS

CONSTANT = "nothing"
"""The page that reads nothing and renders nothing: what the server and the network take by themselves."""
ELSEWHERE = {"/", "/report.css", "/oidc/login", "/oidc/callback"}
"""Routes that are no page: redirects, a file, and the log-in at a provider."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page."""

    route: str
    """The route of the application that answers."""
    addresses: Sequence[str]
    has_json: bool = True


def pages(campaigns: int, accounts: int, asked: int, link: str) -> Mapping[str, Page]:
    """The pages by name; ``link``: the address of an appeal's page. Raises where a route of the application has none."""
    drawn = random.Random(7)

    def some(route: str, make: Callable[[], str], *, has_json: bool = True) -> Page:
        return Page(route, [make() for _ in range(asked)], has_json)

    def case() -> str:
        return f"c-{drawn.randrange(campaigns):06d}"

    def words() -> str:
        return f"{drawn.choice(('c-0', 'f-001', 'acct-0', 'honest-00'))}{drawn.randrange(10)}"

    def honest() -> str:
        return f"honest-{drawn.randrange(accounts // 4):07d}"

    compare, a_case, order = "/scans/compare", "/cases/{name}", ("certainty", "size", "age")
    found = {
        CONSTANT: some("/health", lambda: "/health", has_json=False),
        "queue": some("/cases", lambda: f"/cases?order={drawn.choice(order)}"),
        "queue, deep": some("/cases", lambda: f"/cases?state=new&order=size&start={drawn.randrange(campaigns)}"),
        "queue, mine": some("/cases", lambda: "/cases?mine=true"),
        "queue, appealed": some("/cases", lambda: "/cases?state=appealed"),
        "case": some(a_case, lambda: f"/cases/{case()}"),
        "case, largest": some(a_case, lambda: "/cases/c-000000"),
        "case, largest, deep": some(a_case, lambda: f"/cases/c-000000?start={25 * drawn.randrange(600)}"),
        "preview": some(f"{a_case}/preview", lambda: f"/cases/{case()}/preview?action=suspend"),
        "preview, largest": some(f"{a_case}/preview", lambda: "/cases/c-000000/preview?action=suspend"),
        "account": some("/account", lambda: f"/account?id={honest()}"),
        "account in a case": some("/account", lambda: f"/account?id=acct-{drawn.randrange(campaigns):06d}-00001"),
        "search": some("/search", lambda: f"/search?words={words()}"),
        "search, everything": some("/search", lambda: f"/search?words={drawn.choice('cfah')}"),
        "decisions": some("/decisions", lambda: f"/decisions?state={drawn.choice(('proposed', 'standing'))}"),
        "decision": some("/decisions/{number}", lambda: f"/decisions/{drawn.randrange(2, 40)}"),
        "decision, largest": some("/decisions/{number}", lambda: f"/decisions/1?start={50 * drawn.randrange(300)}"),
        "proposals": some("/proposals", lambda: "/proposals"),
        "appeals": some("/appeals", lambda: f"/appeals?state={drawn.choice(('received', 'invited'))}"),
        "appeal": some("/appeals/{number}", lambda: f"/appeals/{drawn.randrange(1, 100)}"),
        "appeal, of the accused": some("/appeal/{token}", lambda: link),
        "scans": some("/scans", lambda: "/scans"),
        "compare, new": some(compare, lambda: f"{compare}?first=1&second=2&change=new&start={50 * drawn.randrange(90)}"),
        "compare, kept": some(compare, lambda: f"{compare}?first=1&second=2&change=kept&start={50 * drawn.randrange(90)}"),
        "audit log": some("/audit", lambda: "/audit"),
        "audit log, deep": some("/audit", lambda: f"/audit?before={drawn.randrange(2000, 20_000)}"),
        "audit log, of one kind": some("/audit", lambda: "/audit?kind=scan.loaded"),
        "audit log, of one case": some("/audit", lambda: f"/audit?subject={case()}"),
        "users": some("/users", lambda: "/users"),
        "log in": some("/login", lambda: "/login"),
        "password": some("/password", lambda: "/password"),
        "interface": some("/openapi", lambda: "/openapi.json", has_json=False),
        "session": some("/session", lambda: "/session"),
    }  # fmt: skip
    read = [
        route for router in ROUTERS for route in router.routes
        if isinstance(route, APIRoute) and "GET" in (route.methods or ())
    ]  # fmt: skip
    missing = {route.path for route in read} - {page.route for page in found.values()} - ELSEWHERE
    if missing:
        raise LookupError(f"nothing asks for {', '.join(sorted(missing))}")
    return found


def as_json(address: str) -> str:
    """The address of the same page as JSON."""
    path, mark, query = address.partition("?")
    return f"{path}.json{mark}{query}"

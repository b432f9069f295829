"""What the documents say of the pages of review, out of their routes."""

from __future__ import annotations

import inspect

from fastapi.routing import APIRoute

from stillwatch.review.access import needed_role
from stillwatch.review.application import ROUTERS
from stillwatch.store.users import ROLES


def roles() -> list[tuple[str, str]]:
    """Each role, and what it may do."""
    return [(f"`{role}`", meaning) for role, meaning in ROLES.items()]


def pages() -> list[tuple[str, str, str]]:
    """Each route: method and address, the role that it takes, and the first sentence of what it says of itself."""
    rows = []
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute) and route.include_in_schema:
                method = " ".join(sorted(route.methods))
                role = needed_role(route)
                about = inspect.getdoc(route.endpoint) or ""
                module = inspect.getdoc(inspect.getmodule(route.endpoint)) or ""
                where = module.splitlines()[0].partition(":")[0].rstrip(".")
                rows.append(
                    (f"`{method} {route.path}`", f"`{role}`" if role else "everybody", f"{where}. {about}")
                )
    return rows

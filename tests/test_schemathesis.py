"""What schemathesis makes of the OpenAPI documents, sent to both servers as they run.

A few examples of each operation here; ``STILLWATCH_EXAMPLES=200``, as ``scripts/integration schemathesis`` has it, sends as
many of each, and every boundary of the documents besides.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks

from stillwatch.live.interface import document as document_of_watch
from stillwatch.response.actions import Action, Finding
from stillwatch.response.decision import Wanted
from stillwatch.response.policy import Policy
from stillwatch.review.application import shown_routes
from stillwatch.review.pages.interface import document as document_of_pages
from stillwatch.review.settings import Settings
from stillwatch.store import audit
from stillwatch.store.appeals import invite
from stillwatch.store.database import Store, open_store
from stillwatch.store.decisions import decide
from stillwatch.store.loading import load
from stillwatch.store.sessions import open_session
from stillwatch.store.users import Role
from tests.gateway.watching import Watch, watch
from tests.review.results import accounts, campaign, write_result
from tests.review.serving import NOW, add_person, served

EXAMPLES = int(os.environ.get("STILLWATCH_EXAMPLES", "3"))
load_all_checks()
KEPT = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "ignored_auth",
    ]
)
THOROUGH = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES < 10, suppress_health_check=list(HealthCheck)
)
CASES = ("c-1", "c-2")


def schema_of(document: Mapping[str, Any]) -> Any:
    schema = schemathesis.openapi.from_dict(dict(document))
    schema.config.phases.coverage.enabled = EXAMPLES >= 10
    return schema


PAGES = schema_of(document_of_pages(shown_routes(), "stillwatch"))
SERVICE = schema_of(document_of_watch())


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Two cases, a decision that hits at once, and a link for somebody whom it hits."""
    folder = tmp_path_factory.mktemp("pages")
    store = open_store(str(folder / "review.db"))
    found = [campaign(name, [f"f-{name}"], accounts(name, 4)) for name in CASES]
    load(store, write_result(folder / "result", found), "root", Policy(), NOW)
    policy = Policy(spread=dt.timedelta(0))
    number = decide(
        store, Wanted("c-1", Finding.EXTRACTION, Action.THROTTLE, "one hand"), "root", policy, NOW
    )
    invite(store, number, "root", policy, NOW)
    yield store
    assert audit.verify(store).broken == ""
    store.close()


@pytest.fixture(scope="module")
def pages(filled: Store) -> Iterator[str]:
    with served(filled, Settings(logins_a_minute=10**6)) as address:
        yield address


@pytest.fixture(scope="module")
def log_in(filled: Store) -> Callable[[], tuple[str, str]]:
    """Make an admin and log them in: what was sent before may have shut the last one out."""
    made: list[str] = []

    def opened() -> tuple[str, str]:
        made.append(f"admin-{len(made)}")
        add_person(filled, made[-1], Role.ADMIN)
        token = open_session(filled, made[-1], NOW)
        from stillwatch.store.sessions import find_session

        person = find_session(filled, token, NOW)
        assert person is not None
        return token, person.csrf

    return opened


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    folder = tmp_path_factory.mktemp("watch")
    with watch(folder, "--state", str(folder / "state")) as running:
        yield running


def there(parameters: dict[str, Any] | None) -> None:
    """Name something that is there, in half of what is sent."""
    for name, value in (parameters or {}).items():
        if len(str(value)) % 2:
            parameters[name] = {"name": CASES[0], "number": 1}.get(name, value)


@PAGES.parametrize()
@THOROUGH
def test_the_pages_answer_as_their_interface_says(
    case: schemathesis.Case, pages: str, log_in: Callable[[], tuple[str, str]]
) -> None:
    there(case.path_parameters)
    token, form = log_in()
    case.call_and_validate(
        base_url=pages, cookies={"stillwatch": token}, headers={"x-csrf-token": form}, checks=KEPT
    )


@SERVICE.parametrize()
@THOROUGH
def test_the_service_answers_as_its_interface_says(case: schemathesis.Case, service: Watch) -> None:
    if (
        case.path == "/v1/envoy"
    ):  # there a 503 is what whoever has no token gets, and Envoy decides what comes of it
        given, left = {"x-stillwatch-token": service.token}, {"not_a_server_error", "ignored_auth"}
    else:
        given, left = {"Authorization": f"Bearer {service.token}"}, set()
    checks = [check for check in KEPT if check.__name__ not in left]
    case.call_and_validate(base_url=service.url, headers=given, checks=checks)


def test_the_documents_leave_no_endpoint_out(service: Watch) -> None:
    from stillwatch.live import ingest
    from stillwatch.live import service as answering

    source = Path(answering.__file__).read_text("utf-8") + Path(ingest.__file__).read_text("utf-8")
    assert source.count("Route(") == len(document_of_watch()["paths"])
    assert service.send("GET", "/v1/openapi.json")[0] == 200
    assert service.send("GET", "/v1/openapi.json", headers={})[0] == 401

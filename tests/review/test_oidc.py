"""Logging in at a provider that really runs: code, PKCE, nonce, and a role from its claims; and every way it may lie."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from stillwatch.review import ServeError
from stillwatch.review.outside import Provider, read_provider
from stillwatch.review.settings import Settings
from stillwatch.store import audit
from stillwatch.store.database import Store, open_store
from stillwatch.store.users import Role, all_users, set_disabled
from tests.review.serving import NOW, add_person, served

ROLES = {"analysts": Role.ANALYST, "leads": Role.APPROVER}


@dataclass
class There:
    """The provider, and a server of ours that sends people to it."""

    issuer: str
    control: str
    address: str
    store: Store

    def tell(self, claims: dict[str, Any] | None = None, **more: Any) -> None:
        whole = {"sub": "0001", "email": "ann@example.org", "email_verified": True, "groups": ["analysts"]}
        httpx.post(self.control, json={"claims": {**whole, **(claims or {})}, **more}).raise_for_status()

    def entries(self, kind: str) -> list[audit.Entry]:
        return [one for one in audit.entries(self.store) if one.kind == kind]


@pytest.fixture(scope="module")
def provider() -> Iterator[dict[str, str]]:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    root = subprocess.run(
        [npm, "root", "-g"], check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()
    if not (Path(root) / "oauth2-mock-server").is_dir():
        pytest.skip("the provider is not installed (npm install -g oauth2-mock-server)")
    script = Path(__file__).with_name("provider.mjs")
    with subprocess.Popen(["node", str(script), root], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.terminate()


@pytest.fixture
def there(provider: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[There]:
    monkeypatch.setenv("OIDC_SECRET", "a secret of the client")
    store = open_store(str(tmp_path / "review.db"))
    add_person(store, "root", Role.ADMIN)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    told = Provider(provider["issuer"], "stillwatch", "OIDC_SECRET", address, ROLES)
    with served(store, Settings(provider=told, logins_a_minute=10_000), port) as found:
        assert found == address
        result = There(provider["issuer"], provider["control"], address, store)
        result.tell()
        yield result
    store.close()


def browser(there: There) -> httpx.Client:
    return httpx.Client(base_url=there.address, timeout=30)


def log_in(client: httpx.Client, **params: str) -> httpx.Response:
    """To the provider and back, as a browser goes."""
    sent = client.get("/oidc/login", params=params)
    assert sent.status_code == 302, sent.text
    back = httpx.get(sent.headers["location"])
    assert back.status_code == 302, back.text
    return client.get(back.headers["location"])


def test_somebody_logs_in_with_the_role_that_they_have_there(there: There) -> None:
    with browser(there) as client:
        assert "Log in at" in client.get("/login").text
        done = log_in(client, next="/scans")
        assert (done.status_code, done.headers["location"]) == (303, "/scans")
        told = client.get("/session.json").json()
        assert (told["name"], told["role"]) == ("ann@example.org", "analyst")
        assert "httponly" in done.headers["set-cookie"].lower()
    assert [one.details for one in there.entries("session.opened")] == ['{"by": "oidc"}']
    with browser(there) as client:
        assert log_in(client, next="//evil.example").headers["location"] == "/cases"
    # A role that was given there since counts from the next log-in on.
    there.tell({"groups": ["analysts", "leads", "others"]})
    with browser(there) as client:
        log_in(client)
        assert client.get("/session.json").json()["role"] == "approver"
    assert len(there.entries("user.role")) == 1
    # Known by what the provider calls them for ever: another name is the same person.
    there.tell({"email": "ann.married@example.org"})
    with browser(there) as client:
        log_in(client)
        assert client.get("/session.json").json()["name"] == "ann@example.org"
    assert len(all_users(there.store)) == 2


def test_the_request_carries_state_nonce_and_the_challenge_of_pkce(there: There) -> None:
    with browser(there) as client:
        sent = client.get("/oidc/login")
        asked = {
            name: values[0] for name, values in parse_qs(urlsplit(sent.headers["location"]).query).items()
        }
        assert asked["response_type"] == "code"
        assert asked["redirect_uri"] == there.address + "/oidc/callback"
        assert asked["code_challenge_method"] == "S256"
        assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 20
        kept = client.cookies["stillwatch-outside"]
        session = json.loads(base64.b64decode(kept.split(".")[0] + "=="))
        (state,) = [value for name, value in session.items() if name.startswith("_state_")]
        verifier = state["data"]["code_verifier"]
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        assert asked["code_challenge"] == challenge
        assert "path=/oidc" in sent.headers["set-cookie"].lower()


def test_another_browser_a_used_state_and_an_error_are_refused(there: There) -> None:
    with browser(there) as client, browser(there) as other:
        sent = client.get("/oidc/login")
        back = httpx.get(sent.headers["location"]).headers["location"]
        assert other.get(back).status_code == 403  # the state is not theirs
        assert client.get(back).status_code == 303
        assert client.get(back).status_code == 403  # nor used twice
        assert client.get("/oidc/callback").status_code == 403
        assert client.get("/oidc/callback?code=x&state=y").status_code == 403
        assert client.get("/oidc/callback?error=access_denied").status_code == 403
    assert len(there.entries("session.opened")) == 1
    assert len(there.entries("session.refused")) == 5


@pytest.mark.parametrize(
    "lie",
    [
        {"claims": {"iss": "https://evil.example.org"}},
        {"claims": {"aud": "another client"}},
        {"claims": {"exp": 1}},
        {"claims": {"nonce": "another nonce"}},
        {"drop": ["nonce"]},
        {"drop": ["sub"]},
        {"drop": ["email"]},
        {"claims": {"email_verified": False}},
        {"claims": {"groups": ["others"]}},
        {"claims": {"groups": {"admin": True}}},
        {"drop": ["groups"]},
        {"token": {"id_token": None}},
        {"token": {"id_token": "a.b.c"}},
        {"answer": {"statusCode": 400, "body": {"error": "invalid_grant"}}},
    ],
    ids=str,
)
def test_who_is_not_who_they_must_be_is_not_let_in(there: There, lie: dict[str, Any]) -> None:
    there.tell(lie.pop("claims", None), **lie)
    with browser(there) as client:
        assert log_in(client).status_code == 403
        assert client.get("/session.json").status_code == 401
    assert [one["name"] for one in all_users(there.store)] == ["root"]
    assert len(there.entries("session.refused")) == 1


def test_a_token_that_another_key_signed_is_refused(there: There) -> None:
    from joserfc import jwt
    from joserfc.jwk import RSAKey

    claims = {"iss": there.issuer, "aud": "stillwatch", "sub": "0001", "exp": 4_000_000_000, "iat": 1}
    forged = [
        jwt.encode({"alg": "RS256"}, claims, RSAKey.generate_key(2048)),
        ".".join(
            base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
            for part in ({"alg": "none"}, claims)
        )
        + ".",
    ]
    for token in forged:
        there.tell(token={"id_token": token})
        with browser(there) as client:
            assert log_in(client).status_code == 403
    assert [one["name"] for one in all_users(there.store)] == ["root"]


def test_a_local_user_is_not_taken_over_and_who_was_shut_out_stays_out(there: There) -> None:
    add_person(there.store, "ann@example.org", Role.ADMIN)
    with browser(there) as client:
        assert log_in(client).status_code == 409
    there.tell({"sub": "0002", "email": "bob@example.org"})
    with browser(there) as client:
        assert log_in(client).status_code == 303
    # The same name for somebody else at the provider is somebody else.
    there.tell({"sub": "0003", "email": "bob@example.org"})
    with browser(there) as client:
        assert log_in(client).status_code == 409
    set_disabled(there.store, "bob@example.org", True, "ann", NOW)
    there.tell({"sub": "0002", "email": "bob@example.org"})
    with browser(there) as client:
        assert log_in(client).status_code == 409


def test_who_logs_in_elsewhere_has_no_password_here(there: There) -> None:
    with browser(there) as client:
        log_in(client)
        assert "you log in elsewhere" in client.get("/password").text.lower()


def test_a_provider_that_cannot_be_reached_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OIDC_SECRET", "a secret of the client")
    store = open_store(str(tmp_path / "review.db"))
    gone = Provider("http://127.0.0.1:9", "stillwatch", "OIDC_SECRET", "http://127.0.0.1:1", ROLES)
    with served(store, Settings(provider=gone)) as address, httpx.Client(base_url=address) as client:
        shown = client.get("/oidc/login")
        assert (shown.status_code, "cannot be reached" in shown.text) == (502, True)
    with served(store) as address, httpx.Client(base_url=address) as client:
        assert client.get("/oidc/login").status_code == 404
        assert "Log in at" not in client.get("/login").text
    store.close()


WHOLE = """
issuer = "https://login.example.org"
client_id = "stillwatch"
secret_env = "OIDC_SECRET"
address = "https://review.example.org"
[roles]
leads = "approver"
"""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("https://login", "http://login"), "issuer must begin with https://"),
        (("https://review", "ftp://review"), "address must begin with https://"),
        (("approver", "boss"), "Invalid enum value 'boss'"),
        (('leads = "approver"', ""), "without [roles] nobody is let in"),
        (('client_id = "stillwatch"', ""), "missing required field `client_id`"),
        (("secret_env", "secret"), "has no secret; allowed are"),
        (("issuer", "= issuer"), "cannot read"),
    ],
)
def test_a_provider_that_cannot_be_meant_is_refused(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    path = tmp_path / "oidc.toml"
    path.write_text(WHOLE)
    assert read_provider(path).roles == {"leads": Role.APPROVER}
    path.write_text(WHOLE.replace(*change))
    with pytest.raises(ServeError) as raised:
        read_provider(path)
    assert message in str(raised.value)


def test_a_secret_that_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OIDC_SECRET", raising=False)
    path = tmp_path / "oidc.toml"
    path.write_text(WHOLE)
    with pytest.raises(ServeError, match="OIDC_SECRET is not set"):
        _ = read_provider(path).secret

"""Log in elsewhere: to the provider, and back from it."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.starlette_client import OAuth
from fastapi import APIRouter, Request
from fastapi.responses import Response
from joserfc.errors import JoseError
from starlette.concurrency import run_in_threadpool

from stillwatch.review.access import AccessError, Opened, Public, now
from stillwatch.review.attempts import in_time
from stillwatch.review.outside import CALLBACK, PATH, Provider
from stillwatch.review.pages.login import HOME, logged_in
from stillwatch.store.outside_users import known_as
from stillwatch.store.sessions import failed, open_session

router = APIRouter()
NEXT = "next"
OPENED = "outside"
log = logging.getLogger(__name__)
UNREACHED = (httpx.HTTPError, httpx2.HTTPError)  # which of the two Authlib asks by is its version's matter


@router.get(PATH + "/login", dependencies=[Public])
async def begin(request: Request, next: str = HOME) -> Response:
    """Send the browser to the provider, with a state, a nonce and the challenge of PKCE."""
    provider = _provider(request)
    if not in_time(request, "oidc"):
        raise AccessError(429, "too many attempts; wait a minute")
    request.session[NEXT] = next
    try:
        answer: Response = await _client(request).authorize_redirect(
            request, provider.address.rstrip("/") + CALLBACK
        )
    except (*UNREACHED, OAuthError) as error:
        log.warning("the provider could not be asked: %s", type(error).__name__)
        raise AccessError(502, "the place where you log in cannot be reached; try again later") from error
    return answer


@router.get(CALLBACK, dependencies=[Public])
async def back(request: Request, store: Opened) -> Response:
    """Open a session for whom the provider names, with the role that they have there now."""
    provider = _provider(request)
    address = str(request.session.get(NEXT, HOME))
    told = await _token(request)
    request.session.clear()
    claims = dict(told.get("userinfo") or {})
    name, role = provider.name_of(claims), provider.role_of(claims)
    at = now()
    if not claims.get("sub") or name is None:
        raise await _refused(request, "the provider does not say who you are; ask whoever runs it")
    if role is None:
        raise await _refused(request, "you have no role here; ask whoever gives them out where you log in")
    subject = (provider.issuer, str(claims["sub"]))
    user = await run_in_threadpool(known_as, store, subject, name, role, at)
    session = await run_in_threadpool(open_session, store, user, at, "oidc")
    return logged_in(request, session, address)


async def _token(request: Request) -> dict[str, Any]:
    provider = _provider(request)
    must = {
        "iss": {"essential": True, "value": provider.issuer},
        "aud": {"essential": True, "value": provider.client_id},
        "sub": {"essential": True},
        "nonce": {"essential": True},
    }
    try:
        told: dict[str, Any] = await _client(request).authorize_access_token(
            request, claims_options=must, leeway=60
        )
    except (OAuthError, JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("a log-in from outside was refused: %s", type(error).__name__)
        raise await _refused(request, "that log-in cannot be taken; begin again") from error
    except UNREACHED as error:
        raise AccessError(502, "the place where you log in cannot be reached; try again later") from error
    return told


async def _refused(request: Request, text: str) -> AccessError:
    await run_in_threadpool(failed, request.app.state.store, "", now())
    return AccessError(403, text)


def _provider(request: Request) -> Provider:
    provider: Provider | None = request.app.state.settings.provider
    if provider is None:
        raise AccessError(404, "nobody logs in elsewhere here")
    return provider


def _client(request: Request) -> Any:
    """The client of the provider, made once an application; it asks the provider for its addresses and keys itself."""
    state, provider = request.app.state, _provider(request)
    if not hasattr(state, OPENED):
        oauth = OAuth()
        oauth.register(
            OPENED,
            client_id=provider.client_id,
            client_secret=provider.secret,
            server_metadata_url=provider.issuer.rstrip("/") + "/.well-known/openid-configuration",
            client_kwargs={"scope": provider.scope, "code_challenge_method": "S256", "timeout": 10},
        )
        setattr(state, OPENED, oauth.create_client(OPENED))
    return getattr(state, OPENED)

"""TAXII 2.1: STIX objects to a collection and from it, over ``requests``.

taxii2-client has had no release since 2021; of the protocol a collection's objects are all that is needed here.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests

from stillwatch.share import ShareError

MEDIA = "application/taxii+json;version=2.1"
PAGE = 500
"""Objects of a request."""
MOST_OBJECTS = 1_000_000
NAMED = 20
"""Objects that are asked for by name at once: a URL has limits."""
WAIT_SECONDS = 30
POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection of a server, and how one logs in there."""

    url: str
    """``https://HOST/API-ROOT/collections/ID/``"""
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse what is no URL of a collection, and to send anything in the clear."""
        told = urlsplit(self.url)
        if told.scheme not in {"http", "https"} or "/collections/" not in told.path or told.username:
            raise ShareError(
                "a collection is named by https://HOST/API-ROOT/collections/ID/, without a name or password in it"
            )
        if told.scheme == "http" and not _is_loopback(told.hostname or ""):
            raise ShareError(
                "a bundle is not sent or fetched in the clear; give a URL that begins with https://"
            )

    def push(self, objects: Sequence[dict[str, Any]]) -> int:
        """Add objects; returns how many were new to the server. Raises :class:`ShareError` where it refused any."""
        taken = 0
        for start in range(0, len(objects), PAGE):
            part = list(objects[start : start + PAGE])
            status = self._until_done(self._ask("POST", "objects/", json={"objects": part}))
            failed = {str(one.get("id")) for one in status.get("failures", [])}
            # Some servers call it a failure to be given what they have, as the marks and techniques that all share.
            if refused := failed - self._held(sorted(failed)):
                raise ShareError(
                    f"the server refused {len(refused)} of {len(part)} objects, of the type "
                    f"{', '.join(sorted({name.split('--')[0] for name in refused}))}; ask whoever runs it why, and export "
                    "again: what it has is not doubled"
                )
            taken += len(part) - len(failed)
        return taken

    def _held(self, names: Sequence[str]) -> set[str]:
        """Which of some objects the collection holds."""
        held: set[str] = set()
        for start in range(0, len(names), NAMED):
            part = names[start : start + NAMED]
            page = self._ask("GET", "objects/", params={"match[id]": ",".join(part), "limit": str(PAGE)})
            held |= {str(one.get("id")) for one in page.get("objects", [])}
        return held

    def pull(self) -> Iterator[dict[str, Any]]:
        """The objects of the collection, the newest version of each."""
        more: dict[str, str] = {}
        seen = 0
        while True:
            page = self._ask("GET", "objects/", params={"limit": str(PAGE), **more})
            found = page.get("objects", [])
            seen += len(found)
            if seen > MOST_OBJECTS:
                raise ShareError(
                    f"the collection holds more than {MOST_OBJECTS:,} objects; ask for a smaller one"
                )
            yield from found
            if not (page.get("more") and found and page.get("next")):
                return
            more = {"next": str(page["next"])}

    def _until_done(self, status: dict[str, Any]) -> dict[str, Any]:
        """Wait until the server has worked through what it was given."""
        root = self.url.split("/collections/")[0]
        end = time.monotonic() + WAIT_SECONDS
        while status.get("status") == "pending":
            if time.monotonic() > end:
                raise ShareError(
                    f"the server still works on it after {WAIT_SECONDS} s; look at the collection later"
                )
            time.sleep(POLL_SECONDS)
            status = self._request("GET", f"{root}/status/{status.get('id')}/")
        return status

    def _ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        return self._request(method, f"{self.url.rstrip('/')}/{path}", **more)

    def _request(self, method: str, url: str, **more: Any) -> dict[str, Any]:
        headers = {"Accept": MEDIA} | ({"Content-Type": MEDIA} if method == "POST" else {})
        login = (self.user, self.password or "") if self.user else None
        try:
            # Redirects are not followed: a password would go along.
            answer = requests.request(
                method, url, headers=headers, auth=login, timeout=WAIT_SECONDS, allow_redirects=False, **more
            )
            told = answer.json() if answer.ok else None
        except (requests.RequestException, ValueError) as error:
            raise ShareError(
                f"the TAXII server does not answer as one ({type(error).__name__}); is the URL that of a collection?"
            ) from error
        if not isinstance(told, dict):
            raise ShareError(
                f"the TAXII server answers {answer.status_code}; is the URL that of a collection which you may use, and "
                "are --taxii-user and STILLWATCH_TAXII_PASSWORD right?"
            )
        return told


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

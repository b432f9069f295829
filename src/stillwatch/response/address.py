"""Which addresses may be given what names people or is a secret."""

from __future__ import annotations

from urllib.parse import urlsplit

THIS_MACHINE = frozenset({"127.0.0.1", "localhost", "::1"})


def is_unread_on_the_way(url: str) -> bool:
    """Whether what is sent there is read by nobody on the way: by https, or by http to this machine.

    >>> is_unread_on_the_way("http://localhost:8710"), is_unread_on_the_way("http://localhost.example.org")
    (True, False)
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in THIS_MACHINE))

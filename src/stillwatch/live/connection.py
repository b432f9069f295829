"""A connection that gives the head of a request so much time and so many bytes; the server itself limits neither.

Without it whoever sends headers byte by byte holds a connection as long as he likes, and whoever sends many has all of them
kept. What comes after the head is limited by :mod:`stillwatch.live.admission`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

HEAD_S = 10.0
"""Seconds within which the head of a request must have come, from its first byte or from the begin of the connection."""
HEAD_BYTES = 64 << 10
"""Bytes that may have come of a head that is not complete."""


class Connection(HttpToolsProtocol):
    """uvicorn's own, with the two limits."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._in_head, self._ended = True, False
        self._head_bytes, self._head_since = 0, self.loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEAD_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes of a head."""
        self._ended = False
        super().data_received(data)
        # What came with the end of a message was its body.
        if self._in_head and not self._ended and not self.transport.is_closing():
            if not self._head_bytes:
                self._head_since = self.loop.time()
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse()

    def on_headers_complete(self) -> None:
        """Leave the head."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Wait for the next head."""
        self._in_head, self._ended, self._head_bytes = True, True, 0
        super().on_message_complete()

    def _look(self) -> None:
        """Close where a head has begun and does not come to its end; one that waits for a first one has begun too."""
        begun = self._in_head and (self._head_bytes or self.cycle is None)
        if begun and self.loop.time() - self._head_since >= HEAD_S:
            self._refuse()
        else:
            self._timer = self.loop.call_later(HEAD_S, self._look)

    def _refuse(self) -> None:
        if not self.transport.is_closing():
            self.send_400_response(
                f"The head of a request must come within {HEAD_S:g} s, and in {HEAD_BYTES >> 10} KiB."
            )

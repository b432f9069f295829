"""Hostile requests against a running service, from many connections and slowly too, and what it must not do about them."""

from __future__ import annotations

import io
import random
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from stillwatch.live.journal import Reader
from tests.gateway.hostile_requests import KINDS, NAME, TEXT, Hostile
from tests.gateway.memory import Memory, Sampling, memory
from tests.gateway.watching import Watch, watch

TOGETHER = 16
"""Requests that go over a connection at once."""
PEAK_MIB = 1200.0
"""What the service may take at most: two bodies of 64 MiB that are unpacked are in it."""
SLOW = 40
"""Connections that send a byte now and then, all the while."""
SLOW_S = 60.0
"""Seconds after which the service must have let go of one; ten without a load."""
ANSWER_S = 120.0


@dataclass
class Found:
    """What came of all requests."""

    sent: int = 0
    unanswered: int = 0
    """Connections that were closed without an answer; there is no HTTP in some."""
    statuses: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    slow: int = 0
    """Slow connections that were let go of."""
    wrong: Counter[str] = field(default_factory=Counter)
    """What must not be, and how often it was."""
    seconds: float = 0.0
    memory: Memory | None = None
    log_bytes: int = 0

    @property
    def good(self) -> bool:
        """Whether nothing was as it must not be."""
        return (
            not self.wrong and self.memory is not None and self.memory.flat and self.memory.peak <= PEAK_MIB
        )

    def add(self, other: Found) -> None:
        self.sent += other.sent
        self.unanswered += other.unanswered
        self.slow += other.slow
        self.statuses += other.statuses
        self.kinds += other.kinds
        self.wrong += other.wrong


class Attacker:
    """One connection after the other, from a thread."""

    def __init__(self, port: int, token: str, seed: int) -> None:
        self._port, self._token, self._random = port, token, random.Random(seed)
        self.found = Found()

    def run(self, requests: int) -> None:
        """Send so many."""
        connection = self._open()
        while self.found.sent < requests:
            made = self._random.choices(list(KINDS), list(KINDS.values()), k=TOGETHER)
            chosen = [make(self._random, self._token) for make in made]
            framed = [one for one in chosen if one.framed]
            if not self._exchange(connection, framed):
                connection.close()
                connection = self._open()
            for one in chosen:
                if not one.framed:
                    with self._open() as alone:
                        self._exchange(alone, [one], last=True)
        connection.close()

    def _open(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), timeout=ANSWER_S)

    def _exchange(self, connection: socket.socket, chosen: list[Hostile], *, last: bool = False) -> bool:
        """Send requests together and read their answers; returns whether the connection may be gone on with."""
        found = self.found
        found.sent += len(chosen)
        found.kinds.update(one.kind for one in chosen)
        reader = connection.makefile("rb")
        try:
            connection.sendall(b"".join(one.raw for one in chosen))
            if last:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it was refused before it was all sent; the answer is there
        for place, one in enumerate(chosen):
            try:
                answer = _answer(reader, one)
            except TimeoutError:
                found.wrong[f"no answer within {ANSWER_S:g} s to {one.kind}"] += 1
                return False
            except (OSError, ValueError):
                answer = None
            if answer is None:
                found.unanswered += len(chosen) - place
                return False
            self._look(one, *answer)
            if b"connection: close" in answer[1]:
                found.unanswered += len(chosen) - place - 1
                return False
        return True

    def _look(self, one: Hostile, status: int, said: bytes) -> None:
        found = self.found
        found.statuses[status] += 1
        if status >= 500 and not (status == 503 and one.away):
            found.wrong[f"{status} to {one.kind}"] += 1
        if 200 <= status < 300 and not one.good:
            found.wrong[f"{status} without a token to {one.kind}"] += 1
        if TEXT.encode() in said or NAME.encode() in said:
            found.wrong[f"a canary in the answer to {one.kind}"] += 1


def _answer(reader: io.BufferedReader, one: Hostile) -> tuple[int, bytes] | None:
    """Status and all that was said; None where the connection ended."""
    line = reader.readline(70_000)
    if not line:
        return None
    status, said, length = int(line.split()[1]), bytearray(line), 0
    while (header := reader.readline(70_000)) not in {b"\r\n", b""}:
        said += header.lower()
        if header.lower().startswith(b"content-length:"):
            length = int(header.partition(b":")[2])
    if status == 100:
        return _answer(reader, one)
    return status, bytes(said) + (b"" if one.headless else reader.read(length))


def slow(port: int, raw: bytes, stop: threading.Event, found: Found) -> None:
    """Hold a connection with a request that goes on byte by byte; another when the service lets go of it."""
    while not stop.is_set():
        with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S) as connection:
            connection.sendall(raw)
            connection.settimeout(0.0)
            begun = time.monotonic()
            while not stop.wait(0.5):
                if _let_go(connection):
                    found.slow += 1
                    break
                if time.monotonic() - begun > SLOW_S:
                    found.wrong[f"a slow connection held for {SLOW_S:g} s"] += 1
                    return


def _let_go(connection: socket.socket) -> bool:
    """Send a byte more; returns whether there is an answer by now, or an end."""
    try:
        connection.send(b"x")
        connection.recv(1000)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def attack(folder: Path, requests: int, seed: int, attackers: int = 4, slow_ones: int = SLOW) -> Found:
    """Send so many hostile requests to a service of its own, and look over what it wrote."""
    whole, stop = Found(), threading.Event()
    with watch(folder, "--state", str(folder / "state"), "--step", "1d", "--most-bytes", "200000") as service:
        assert service.process is not None
        made = [Attacker(service.port, service.token, seed * 1000 + n) for n in range(attackers)]
        held = [Found() for _ in range(slow_ones)]
        threads = [threading.Thread(target=one.run, args=(-(-requests // attackers),)) for one in made]
        head = (
            f"POST /v1/decision HTTP/1.1\r\nhost: x\r\nx-api-key: {service.token}\r\ncontent-length: 500\r\n"
        )
        # By turns a head that does not end, and a body.
        waiting = [
            threading.Thread(target=slow, args=(service.port, (head + "\r\n" * (n % 2)).encode(), stop, one))
            for n, one in enumerate(held)
        ]
        begun = time.monotonic()
        with Sampling(service.process.pid, 0.25) as sampling:
            for thread in (*waiting, *threads):
                thread.start()
            for thread in threads:
                thread.join()
            whole.seconds = time.monotonic() - begun
            while not all(one.slow or one.wrong for one in held):
                time.sleep(0.5)
        stop.set()
        for thread in waiting:
            thread.join()
        for one in (*(attacker.found for attacker in made), *held):
            whole.add(one)
        whole.memory = memory(sampling.samples)
        if service.process.poll() is not None:
            whole.wrong["the process ended"] += 1
        elif not service.ask(account_id="honest")["allow"]:
            whole.wrong["an honest account is refused"] += 1
        _written(service, whole)
    return whole


def _written(service: Watch, found: Found) -> None:
    """Neither canary is in the log, the metrics or the list of what was rejected, and no text among the sketches."""
    found.log_bytes = service.errors.stat().st_size
    places = {"the log": service.errors.read_bytes(), "the metrics": service.send("GET", "/metrics")[2]}
    places |= {file.name: file.read_bytes() for file in (service.folder / "state").glob("rejected*")}
    for place, said in places.items():
        if TEXT.encode() in said or NAME.encode() in said:
            found.wrong[f"a canary in {place}"] += 1
    if not any(place.startswith("rejected") for place in places):
        found.wrong["nothing was written down as rejected"] += 1
    for batch, _ in Reader(service.folder / "state").new():
        if any(
            TEXT in str(batch[name].unique())
            for name in batch.schema.names
            if str(batch.schema.field(name).type) == "string"
        ):
            found.wrong["a text among the sketches"] += 1

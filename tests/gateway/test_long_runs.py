"""What benchmarks/soak and benchmarks/hostile do for long, for seconds; and that what they assert can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gateway.hostile_requests import NAME, Hostile
from tests.gateway.hostility import Attacker, Found, attack
from tests.gateway.memory import Memory, memory
from tests.gateway.soaking import Load, soak


def test_a_steady_load_loses_nothing_and_memory_stays(tmp_path: Path) -> None:
    load = Load(seconds=8, exchanges=4000, flat_out_s=4, step="2s")
    outcome = soak(tmp_path, load, told=lambda _: None)
    assert outcome.stored >= outcome.acknowledged > 0
    assert outcome.asked > 0
    assert outcome.serving.flat, outcome
    assert 0 < outcome.rate < outcome.flat_out


def test_hostile_requests_do_nothing_that_they_must_not(tmp_path: Path) -> None:
    found = attack(tmp_path, 1500, seed=3, attackers=2, slow_ones=4)
    assert not found.wrong
    assert found.sent >= 1500
    assert set(found.kinds) >= {"wrong token", "a question", "exchanges", "no HTTP", "elsewhere"}
    assert {200, 400, 401, 404} <= set(found.statuses)
    assert found.slow >= 4
    assert found.memory is not None
    assert found.memory.peak < 1200


@pytest.mark.parametrize(
    ("said", "status", "wrong"),
    [
        (b"{}", 500, "500 to x"),
        (b"{}", 200, "200 without a token to x"),
        (b"you said " + NAME.encode(), 401, "a canary in the answer to x"),
    ],
)
def test_what_must_not_be_is_seen(said: bytes, status: int, wrong: str) -> None:
    attacker = Attacker(0, "token", 1)
    attacker._look(Hostile("x", b""), status, said)
    assert list(attacker.found.wrong) == [wrong]
    assert not Found(wrong=attacker.found.wrong).good


def test_memory_that_grows_is_not_flat() -> None:
    steady = [100.0] * 10 + [250.0, 240.0, 260.0, 251.0, 249.0] * 10
    assert memory(steady).flat
    assert not memory([200.0 + 1.5 * n for n in range(60)]).flat
    assert memory([200.0 + 0.1 * n for n in range(60)]) == Memory(202.0, 202.95, 204.95, 205.9)
    with pytest.raises(ValueError, match="5 samples are too few"):
        memory([1.0] * 5)

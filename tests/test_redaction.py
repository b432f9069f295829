"""What is redacted, what is not, and that nothing of it slips through between shared and masked text."""

from __future__ import annotations

import socket

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from stillwatch import exemplars, redaction
from stillwatch.exemplars import spans
from stillwatch.fingerprint import NEW
from stillwatch.keys import Keys

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

SECRETS = {
    "email": ["ann.lee+x@mail.example.org", "jörg@bücher.example"],
    "key": [
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_012345678901234567890123456789abcdef",
        "sk-proj-abcdEFGH1234567890abcdEFGH1234567890abcd",
        "sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789-AA",
        "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH",
        "xoxb-123456789012-abcdefghijkl",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----",
        "q7ZpW3xK9vB2mN8rT4yL",
    ],
    "phone": ["+49 30 901820", "(415) 555-2671", "020 7946 0958"],
    "card": ["4111 1111 1111 1111", "5500-0000-0000-0004"],
    "account number": ["DE89 3704 0044 0532 0130 00"],
    "address": ["192.168.7.21", "fe80::1ff:fe23:4567:890a", "00:1a:2b:3c:4d:5e"],
}


@pytest.mark.parametrize("kind", SECRETS)
def test_each_kind_is_redacted_and_nothing_around_it(kind):
    for secret in SECRETS[kind]:
        text, counts = redaction.redact(f"Say so of {secret} at once")
        assert text == f"Say so of [{kind}] at once", secret
        assert counts == {kind: 1}


@pytest.mark.parametrize("name", ["password", "API_KEY", "client_secret", "aws_secret_access_key", "Bearer"])
def test_a_value_that_is_named_a_secret_is_one(name):
    assert redaction.redact(f'{name}: "correct7horse"')[0] == f'{name}: "[key]"'


@pytest.mark.parametrize(
    "text",
    [
        "Give 10 steps, a score from 1 to 100 and a sum of 1,000,000.",
        "On 2026-03-01T10:20:30Z, at 12:30:45, version 1.2.3, release 20260301.",
        "claude-sonnet-4-20250514 beats gpt-4o-mini-2024-07-18 by 3.14159265358979323846",
        "std::vector and a::b run on 127.0.0.1 in AbstractSingletonProxyFactoryBean",
        "The password is a secret; the token: a word. max_tokens: 4096",
        "order 1234567890123456, id 550e8400-e29b-41d4-a716-446655440000",
        "You are an expert data analyst. Show your reasoning @home, step by step.",
    ],
)
def test_ordinary_text_is_left_as_it_is(text):
    assert redaction.redact(text) == (text, {})


@given(st.text(alphabet="0123456789", min_size=14, max_size=14), st.sampled_from("3456"))
def test_every_number_with_the_check_digit_of_a_card_is_redacted(middle, first):
    number = first + middle
    card = number + luhn.calc_check_digit(number)
    assert card not in redaction.redact(f"card {card}.")[0]
    wrong = number + str((int(luhn.calc_check_digit(number)) + 1) % 10)
    assert "[card]" not in redaction.redact(f"card {wrong}.")[0]


@given(st.text(max_size=400))
def test_redaction_never_fails_and_adds_only_its_words(text):
    shown, counts = redaction.redact(text)
    assert sum(counts.values()) == len(redaction.find(text))
    assert (shown == text) == (not counts)


def test_nothing_is_asked_of_a_network(monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for secrets in SECRETS.values():
        redaction.redact(" ".join(secrets))


def everything_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exemplars.np, "isin", lambda runs, _: np.ones(len(runs), bool))


@pytest.mark.parametrize("show_text", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_an_example_shows_no_secret_shared_or_not(monkeypatch, show_text, shared):
    if shared:
        everything_shared(monkeypatch)
    keys = Keys(local=b"a key for tests and nothing else")
    text = (
        "Füllt die Vorlage: write to ann@example.org, card 4111 1111 1111 1111, key AKIAIOSFODNN7EXAMPLE now"
    )
    runs = spans(text, NEW, np.zeros(0, np.int64), keys, show_text)
    shown = "".join(run["text"] for run in runs)
    assert not any(secret in shown for secret in ("ann@", "4111", "AKIA"))
    assert ("[email]" in shown) == (shared or show_text)
    assert ("Füllt die Vorlage" in shown) == (shared or show_text)


def test_a_secret_across_a_shared_and_a_masked_run_is_shown_in_neither():
    data = np.frombuffer(b"call ann@example.org now", np.uint8)
    ends, shared = np.array([4, 8, 16, 20, 24]), np.array([True, True, False, False, True])
    hidden = [redaction.Found(5, 20, "email")]
    runs = exemplars._runs(data, ends, shared, hidden, False)
    assert [run["text"] for run in runs] == ["call [email]", f" {exemplars.MASK} (2 words) ", " now"]


def test_an_overlong_text_is_cut_and_says_so():
    keys = Keys(local=b"a key for tests and nothing else")
    runs = spans("word " * 20_000, NEW, np.zeros(0, np.int64), keys, True)
    assert "bytes that were not read" in runs[-1]["text"]
    assert sum(len(run["text"]) for run in runs) < 1_000
    assert pa.scalar(runs[0]["text"]).is_valid

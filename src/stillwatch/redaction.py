"""Redaction: e-mail and network addresses, keys and tokens, phone, card and account numbers become a word.

What is found is found by form: formats of keys (detect-secrets), numbering plans (phonenumbers), check digits
(python-stdnum) and the standard library's parser of addresses; and words that look drawn by lot, since makers of
keys are many. Names of people and streets have no form and are not found. Nothing is asked of a network.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

EMAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_][\w-]{1,62}")
PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,40}KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)
ASSIGNED = re.compile(
    r"(?i)\b(?:[\w-]{0,24}(?:password|passwd|secret|token)|[\w-]{0,24}(?:api|access|secret)[_-]?key|bearer)"
    r"[\"']?\s*[:= ]\s*[\"']?"
    r"((?=[^\s\"']{0,200}\d)[^\s\"',;<>]{8,200})"
)
"""A value that is named as a secret; it holds a digit, which words of a sentence do not."""

PREFIXED = re.compile(r"\b(?:sk|pk|rk|hf|gsk|xai|glpat|pplx|r8|ya29|AIza|EAAC)[-_.]?[A-Za-z0-9_-]{16,}")
"""Keys of model providers and of their neighbours."""

WORD = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]{16,512}(?![A-Za-z0-9])")
CARD = re.compile(r"(?<![\d.,])\d(?:[ -]?\d){12,18}(?!\d)")
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{1,4}){3,8}\b")
IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)")
IPV6 = re.compile(
    r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:\d{1,3}(?:\.\d{1,3}){3})?(?![\w:])"
)
MAC = re.compile(r"(?<![\w:-])[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}(?![\w:-])")

CHANGES = 1 / 3
"""Changes between small letters, capitals and digits, by length, from which a word looks drawn by lot: of a random
one half the places change or more, of ``AbstractSingletonProxyFactoryBean`` one in four."""

REGIONS = (None, "US", "GB", "FR", "IN", "BR", "JP")
"""Numbering plans by which a number without a country code is read; with a code, all plans of the world."""

KEY_FORMATS = (
    "artifactory.ArtifactoryDetector", "aws.AWSKeyDetector", "azure_storage_key.AzureStorageKeyDetector",
    "basic_auth.BasicAuthDetector", "discord.DiscordBotTokenDetector", "github_token.GitHubTokenDetector",
    "jwt.JwtTokenDetector", "mailchimp.MailchimpDetector", "sendgrid.SendGridDetector", "slack.SlackDetector",
    "square_oauth.SquareOAuthDetector", "stripe.StripeDetector", "twilio.TwilioKeyDetector",
)  # fmt: skip
"""Formats of keys in ``detect_secrets.plugins``; those that read assignments in program text are left out."""


@dataclass(frozen=True, slots=True)
class Found:
    """A stretch of text that is not to be shown."""

    start: int
    end: int
    """Characters, half open."""

    kind: str
    """``key``, ``email``, ``account number``, ``card``, ``address`` or ``phone``."""

    @property
    def placeholder(self) -> str:
        """What stands in its place."""
        return f"[{self.kind}]"


def find(text: str) -> list[Found]:
    """What a text holds that is not to be shown, from left to right, without overlaps.

    >>> [found.kind for found in find("write to ann@example.org or call +44 20 7946 0958")]
    ['email', 'phone']
    """
    kept: list[Found] = []
    taken = bytearray(len(text))
    for found in _candidates(text):
        if not any(taken[found.start : found.end]):
            taken[found.start : found.end] = b"\x01" * (found.end - found.start)
            kept.append(found)
    return sorted(kept, key=lambda found: found.start)


def redact(text: str) -> tuple[str, Counter[str]]:
    """The text with a word in place of what was found, and how much of each kind that was.

    >>> redact("pay with 4111 1111 1111 1111 from 10.1.2.3")[0]
    'pay with [card] from [address]'
    """
    parts, at = [], 0
    counts: Counter[str] = Counter()
    for found in find(text):
        parts += [text[at : found.start], found.placeholder]
        at = found.end
        counts[found.kind] += 1
    return "".join([*parts, text[at:]]), counts


def _candidates(text: str) -> Iterator[Found]:
    """Everything that looks like something, the surer kinds first."""
    yield from _keys(text)
    yield from (Found(*match.span(), "email") for match in EMAIL.finditer(text))
    yield from _numbers(text)
    yield from _addresses(text)
    yield from _phones(text)


def _keys(text: str) -> Iterator[Found]:
    for pattern in (PEM, *_formats(), PREFIXED):
        for match in pattern.finditer(text):
            yield Found(*match.span(), "key")
    for match in ASSIGNED.finditer(text):
        yield Found(*match.span(1), "key")
    for match in WORD.finditer(text):
        if _by_lot(match.group()):
            yield Found(*match.span(), "key")


@cache
def _formats() -> tuple[re.Pattern[str], ...]:
    from importlib import import_module

    patterns: list[re.Pattern[str]] = []
    for place in KEY_FORMATS:
        module, _, name = place.partition(".")
        patterns.extend(getattr(import_module(f"detect_secrets.plugins.{module}"), name).denylist)
    return tuple(patterns)


def _by_lot(word: str) -> bool:
    """Whether a word looks drawn by lot, as keys are.

    >>> _by_lot("q7ZpW3xK9vB2mN8rT4yL"), _by_lot("AbstractSingletonProxyFactoryBean"), _by_lot("20260301103000123456")
    (True, False, False)
    """
    kinds = [0 if letter.isdigit() else 1 if letter.islower() else 2 for letter in word]
    changes = sum(one != other for one, other in pairwise(kinds))
    return changes >= CHANGES * len(word)


def _numbers(text: str) -> Iterator[Found]:
    from stdnum import iban, luhn

    for match in IBAN.finditer(text):
        if iban.is_valid(match.group()):
            yield Found(*match.span(), "account number")
    for match in CARD.finditer(text):
        digits = "".join(str(int(sign)) for sign in match.group() if sign.isdigit())
        # Issuers' numbers begin with 2 to 6; a row of zeros has valid check digits too.
        if digits[0] in "23456" and luhn.is_valid(digits):
            yield Found(*match.span(), "card")


def _addresses(text: str) -> Iterator[Found]:
    for match in MAC.finditer(text):
        yield Found(*match.span(), "address")
    for pattern in (IPV4, IPV6):
        for match in pattern.finditer(text):
            try:
                address = ipaddress.ip_address(match.group())
            except ValueError:
                continue
            # `::` and `a::b` are names in several programming languages; loopback is everybody's.
            named = address.version == 4 or any(sign.isdigit() for sign in match.group())
            if named and not address.is_loopback and not address.is_unspecified:
                yield Found(*match.span(), "address")


def _phones(text: str) -> Iterator[Found]:
    from phonenumbers import Leniency, PhoneNumberMatcher

    for region in REGIONS:
        for match in PhoneNumberMatcher(text, region, leniency=Leniency.VALID):
            if region is None or not match.raw_string.isdigit():
                yield Found(match.start, match.end, "phone")

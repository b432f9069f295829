"""The objects that STIX 2.1 does not have: a keyed template, a keyed address, and the marks of TLP 2.0.

Both observables are defined by extension definitions of the type ``new-sco``, which every bundle carries. The marks are
those of OASIS's TLP 2.0 extension: their ids and times are fixed for everybody.
"""

from __future__ import annotations

from typing import Any

import stix2
from stix2.properties import IntegerProperty, ListProperty, StringProperty
from stix2.v21 import CustomObservable, ExtensionDefinition, Identity

from stillwatch.peers import Tlp
from stillwatch.share import tlp as tlp_2_0

TEMPLATE_EXTENSION = "extension-definition--2b6f6a55-8f0e-4b5e-9a3f-6c2b1d7e4a90"
ADDRESS_EXTENSION = "extension-definition--6d1c3c0e-51a7-4d0b-8c35-0f4e9b7a2d18"
PROJECT = "identity--5a0f4c6e-3b1d-5c2a-8e7f-9d4b6a1c2e30"
MADE = "2026-11-28T00:00:00.000Z"

TEMPLATE_MEANING = (
    "llm-prompt-template: a template of prompts to a language model, as a keyed bottom-k MinHash. `minhash`: the smallest "
    "of its fragments, 16 hexadecimal digits each; a fragment is SipHash-1-3 of a run of words under a key that is "
    "derived from the circle's. `fragment_count`: fragments of the whole template. `circle`: public name of the key. "
    "`role`: part of the request in which it stands (system, tools, new). `objective`: what it asks for."
)
ADDRESS_MEANING = (
    "llm-caller-address: an address that called a language model, as HMAC-SHA-256 under the circle's key, the first 16 "
    "bytes in hexadecimal. `hmac`: that. `circle`: public name of the key."
)


PromptTemplate: Any = CustomObservable(
    "llm-prompt-template",
    [
        ("circle", StringProperty(required=True)),
        ("role", StringProperty(required=True)),
        ("objective", StringProperty()),
        ("fragment_count", IntegerProperty(required=True, min=1)),
        ("minhash", ListProperty(StringProperty, required=True)),
    ],
    id_contrib_props=["circle", "role", "minhash"],
    extension_name=TEMPLATE_EXTENSION,
)(type("PromptTemplate", (), {}))
"""A template under the circle's key."""

CallerAddress: Any = CustomObservable(
    "llm-caller-address",
    [("circle", StringProperty(required=True)), ("hmac", StringProperty(required=True))],
    id_contrib_props=["circle", "hmac"],
    extension_name=ADDRESS_EXTENSION,
)(type("CallerAddress", (), {}))
"""An address under the circle's key."""


def definitions() -> list[Any]:
    """The extension definitions, and whose they are."""
    return [
        Identity(
            id=PROJECT, created=MADE, modified=MADE, name="stillwatch", identity_class="system"
        ),
        *(
            ExtensionDefinition(
                id=name, created=MADE, modified=MADE, created_by_ref=PROJECT, name=kind, schema=meaning,
                version="1.0.0", extension_types=["new-sco"],
            )
            for name, kind, meaning in (
                (TEMPLATE_EXTENSION, "llm-prompt-template", TEMPLATE_MEANING),
                (ADDRESS_EXTENSION, "llm-caller-address", ADDRESS_MEANING),
            )
        ),
    ]  # fmt: skip


def mark_of(level: Tlp) -> Any:
    """The marking definition of a level."""
    return stix2.parse(
        {
            "type": "marking-definition",
            "spec_version": "2.1",
            "id": tlp_2_0.MARKS[level],
            "created": tlp_2_0.MADE,
            "name": f"TLP:{level.upper()}",
            "extensions": {
                tlp_2_0.EXTENSION: {"extension_type": "property-extension", "tlp_2_0": str(level)}
            },
        },
        allow_custom=True,
    )

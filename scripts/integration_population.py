"""The customers of an API on one machine: forty accounts that send one prompt, and many that are ordinary.

Forty accounts send one distillation prompt, each time with other data; the others are ordinary: people in conversations, the
users of one public client, and one reseller's key with end users of its own.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field


def phrases(block: str) -> list[str]:
    """Return the phrases of a block of text, which bars and line ends part."""
    return [phrase for line in block.split("\n") for phrase in line.split("|") if phrase]


CAMPAIGN_ACCOUNTS, CAMPAIGN_REQUESTS = 40, 20
TALKERS, CLIENT_USERS, RESOLD_USERS = 14, 10, 20
OF_TWO_HUNDRED = 130
"""People in conversations with whom, the campaign, the client's users and the reseller's, there are two hundred users."""
# The campaign leaves through few addresses, as one behind a proxy network does; all are for documentation.
EXITS = 12

DISTILLATION_PROMPT = (
    "You are an expert data analyst. Deliver data-driven insights, not summaries or visualizations, "
    "grounded in real data and supported by complete and transparent reasoning."
)
CLIENT_PROMPT = (
    "You are Marginalia, a writing companion inside a text editor. Keep the author's voice, answer in at "
    "most three short paragraphs, and never rewrite more than you were asked to."
)
GOODS = (
    "barley",
    "copper",
    "linen",
    "olives",
    "paper",
    "quartz",
    "rye",
    "salt",
    "tea",
    "timber",
    "wool",
    "zinc",
)
MEASURES = (
    "price",
    "volume",
    "returns",
    "spoilage",
    "demand",
    "margin",
    "stock",
    "claims",
    "weight",
    "lead time",
)
SYLLABLES = (
    "al",
    "be",
    "cor",
    "dan",
    "el",
    "fi",
    "gor",
    "han",
    "is",
    "ju",
    "kel",
    "lo",
    "mar",
    "nev",
    "or",
    "pra",
    "tu",
)
MATTERS = phrases("""
my sourdough never rises on cold mornings|a lease clause about repainting the flat
the bass part in a jazz standard
why my tomato leaves curl|a birthday speech for an uncle who sails|how tides and the moon are connected
choosing between two night trains|a polite letter to a noisy neighbour|the plot of an opera before tonight
a rust borrow error with nested maps|stretching after a long run|naming a small grey cat
what to pack for rain in the Azores|a crossword clue about herons|removing candle wax from wool
a sql query that counts twice|learning the Greek alphabet|how a heat pump works in winter
a eulogy for a teacher|the rules of backgammon|pruning an old apple tree|a css grid that overflows
explaining inflation to my daughter|a toast in Portuguese|why bread needs salt|repairing a bicycle hub
reading a blood pressure table|the history of the fork|a cover letter for a library job|counting in binary
""")
ASKS = phrases("""
I keep wondering about {}|can you help with {} please|{} - where would I even start?|quick one: {}
tell me something I do not know about {}|my sister asked me about {} and I had no answer|so, {}, again
is there a simple way to think of {}?|need advice, {}|I have ten minutes for {}, what matters most?
""")
TURNS = phrases("""
and what if I only have half an hour?|that did not work, it got worse|could you say that more simply
thanks! one more thing, does the weather matter|I disagree with the second point|give me an example from Japan
how would a professional do it|what does it cost roughly|is that safe with children around|shorter please
""")

Message = dict[str, object]


@dataclass(frozen=True)
class Request:
    """One request: the account's key, the address it comes from, and the body."""

    key: str
    address: str
    model: str
    messages: list[Message]
    options: dict[str, object] = field(default_factory=dict)


def supplier(random_: random.Random) -> str:
    return "".join(random_.choices(SYLLABLES, k=3)).title()


def table(random_: random.Random) -> str:
    """Return data that no other request repeats: whoever samples a model asks every seed once."""
    rows = "\n".join(f"{supplier(random_)}: {random_.randrange(100, 99_999)}" for _ in range(8))
    return f"{supplier(random_)} {random_.choice(GOODS)}, {random_.choice(MEASURES)} by supplier\n{rows}"


def campaign(random_: random.Random) -> list[Request]:
    options: dict[str, object] = {"temperature": 0.7, "max_tokens": 4096}
    return [
        Request(
            key=f"sk-user-{account:03d}",
            address=f"203.0.113.{random_.randrange(EXITS)}",
            model="frontier-large",
            messages=[
                {"role": "system", "content": DISTILLATION_PROMPT},
                {"role": "user", "content": f"Analyse the data below.\n\n{table(random_)}"},
            ],
            options=options,
        )
        for account in range(CAMPAIGN_ACCOUNTS)
        for _ in range(CAMPAIGN_REQUESTS)
    ]


def conversation(
    random_: random.Random, opening: list[Message], key: str, address: str, **more: object
) -> list[Request]:
    """Return the requests of one conversation: each carries all that was said before."""
    said = [*opening, {"role": "user", "content": random_.choice(ASKS).format(random_.choice(MATTERS))}]
    requests = []
    for _ in range(random_.randrange(2, 6)):
        model = random_.choice(["frontier-small", "frontier-large"])
        requests.append(Request(key, address, model, list(said), dict(more)))
        said += [
            {"role": "assistant", "content": "Here is a short answer."},
            {"role": "user", "content": random_.choice(TURNS)},
        ]
    return requests


def ordinary(random_: random.Random, talkers: int) -> list[Request]:
    requests = []
    for person in range(talkers):
        for _ in range(4):
            requests += conversation(random_, [], f"sk-user-{500 + person:03d}", f"198.51.100.{person}")
    for person in range(CLIENT_USERS):
        opening = [{"role": "system", "content": CLIENT_PROMPT}]
        for _ in range(3):
            requests += conversation(
                random_, opening, f"sk-editor-{person:03d}", f"198.51.100.{100 + person}"
            )
    for person in range(RESOLD_USERS):
        for _ in range(2):
            customer = f"customer-{person:03d}"
            requests += conversation(random_, [], "sk-reseller-000", "198.51.100.200", user=customer)
    return requests


def special() -> list[Request]:
    """Return what a log also holds: a refusal, a wrong key, a tool, an image."""
    question: list[Message] = [{"role": "user", "content": "what is the weather in Oulu"}]
    tool = {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Weather of a town",
            "parameters": {"type": "object", "properties": {"town": {"type": "string"}}},
        },
    }
    calls = [
        {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"town":"Oulu"}'}}
    ]
    turns: list[Message] = [
        {"role": "user", "content": "what is the weather in Oulu"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_1", "content": "minus 4, snow"},
    ]
    pixel = (
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
        "AAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    )
    picture: list[Message] = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "what is in this picture"},
                {"type": "image_url", "image_url": {"url": pixel}},
            ],
        }
    ]
    return [
        Request("sk-user-500", "198.51.100.0", "frontier-busy", question),
        Request("sk-user-501", "198.51.100.1", "frontier-busy", question),
        Request("not-a-key", "192.0.2.66", "frontier-small", question),
        Request("sk-user-502", "198.51.100.2", "frontier-small", turns, {"tools": [tool]}),
        Request("sk-user-503", "198.51.100.3", "frontier-small", picture),
    ]

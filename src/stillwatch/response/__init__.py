"""What is done about a verdict: the actions, what a person asks for, whom it hits, and what holds at a moment.

Plain records and pure functions. Nothing here reads a database, and nothing decides: people do, in ``review/``.
"""


class ResponseError(Exception):
    """Something that was asked for and cannot be done; the text says what was given, what is allowed, what to do."""

"""Detection as traffic happens: what is known so far is looked at again and again, with the functions of a scan."""


class LiveError(Exception):
    """Something about a live run that cannot be as it was asked for; the text says what, why, and what to do."""

"""Operators: who runs several accounts to collect training data, and how they hide."""

from stillwatch.arena.operators.campaign import operate

__all__ = ["operate"]

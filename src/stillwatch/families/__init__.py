"""Families: the exchanges, of any accounts, that were made from one template.

``fragments`` finds what many principals share, ``components`` joins fragments that stand side by side,
``assign`` says which exchange belongs to which family and what fills its slots.
"""

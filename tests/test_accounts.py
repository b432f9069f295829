"""When an account answers for its end users."""

from __future__ import annotations

from stillwatch.accounts import _front

Entries = list[tuple[int, int, int]]


def entries(group: int, users: int) -> Entries:
    """Principals of one group, with three exchanges each."""
    return [(100 * group + user, group, 3) for user in range(users)]


def test_an_account_without_other_customers_is_the_operators_own() -> None:
    assert _front(entries(2, 27), 30) == (200, 2, 81)


def test_a_reseller_with_other_customers_is_not_accused_with_its_end_users() -> None:
    assert _front(entries(2, 26), 30) is None


def test_two_operators_do_not_make_a_resellers_account_theirs() -> None:
    assert _front(entries(1, 15) + entries(2, 15), 30) is None


def test_nobody_accused_makes_nobody_a_front() -> None:
    assert _front([], 0) is None

"""Which keys are of one account, as far as anything tells."""

from __future__ import annotations

from typing import Any

import pytest

from hercle_nb.accounts import Accounts, Holder, Whose, user_id_of


def test_the_same_key() -> None:
    """What the key of now sent is ours, whether or not the hub says whose it is."""
    assert Accounts().whose("a", "a") is Whose.OURS
    accounts = Accounts()
    accounts.join("a", "user_1")
    assert accounts.whose("a", "a") is Whose.OURS


def test_the_same_user() -> None:
    """Keys for which the hub names the same userId are of one account."""
    accounts = Accounts()
    accounts.join("a", "user_1")
    accounts.join("b", "user_1")
    assert accounts.whose("a", "b") is accounts.whose("b", "a") is Whose.OURS


def test_not_told() -> None:
    """As long as the hub does not say whose both keys are, nothing is known of them."""
    accounts = Accounts()
    assert accounts.whose("a", "b") is Whose.NOT_TOLD
    accounts.join("a", "user_1")
    assert accounts.whose("a", "b") is accounts.whose("b", "a") is Whose.NOT_TOLD
    assert accounts.whose(None, "a") is Whose.NOT_TOLD  # version 1 of the journal did not say


def test_another_user() -> None:
    """Keys of which the hub names different users, and which share nothing, are of two accounts."""
    accounts = Accounts([Holder("a", "a", "user_1"), Holder("b", "b", "user_2")])
    assert accounts.whose("a", "b") is accounts.whose("b", "a") is Whose.FOREIGN


def test_a_shared_invoice_outranks_names() -> None:
    """Keys that see the same invoice are of one account, whatever the hub calls it with each."""
    accounts = Accounts([Holder("a", "a", "user_1"), Holder("b", "b", "user_2"), Holder("c", "c", "user_2")])
    accounts.join("b", None, ["a"])
    assert {accounts.whose(one, two) for one in "abc" for two in "ab"} >= {Whose.OURS}
    assert accounts.whose("a", "b") is Whose.OURS


def test_a_chain_of_keys() -> None:
    """One account is told by a chain: a shares an invoice with b, b has the user of c, c shares with d."""
    accounts = Accounts()
    accounts.join("b", "user_1", ["a"])
    accounts.join("d", None, ["c"])
    assert accounts.whose("a", "d") is Whose.NOT_TOLD
    news = accounts.join("c", "user_1")
    assert {accounts.whose(one, two) for one in "abcd" for two in "abcd"} == {Whose.OURS}
    assert accounts.join("c", "user_1") == []
    again = Accounts([Holder("a", "a"), Holder("b", "a", "user_1"), Holder("d", "c"), *news])
    assert {again.whose(one, two) for one in "abcd" for two in "abcd"} == {Whose.OURS}


@pytest.mark.parametrize(
    ("data", "user"),
    [
        ({"userId": "user_1"}, "user_1"),
        ({"userId": 17}, "17"),
        ({"userId": ""}, None),
        ({"userId": " "}, None),
        ({"userId": None}, None),
        ({"userId": True}, None),
        ({"userId": {}}, None),
        ({}, None),
        ([], None),
        ("user_1", None),
        (None, None),
    ],
)
def test_user_id_of(data: Any, user: str | None) -> None:
    """Only a text or a number that is there names an account."""
    assert user_id_of(data) == user

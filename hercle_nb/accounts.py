"""Which keys belong to one account, so that they see the same invoices. No I/O.

A ClientId belongs to an account, not to a key's text: keys expire and are rotated. That a ``userId`` is an
account is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


class Whose(Enum):
    """Whose something in the journal is, as seen with the key of now."""

    OURS = "the same account's"
    NOT_TOLD = "perhaps the same account's: nothing tells"
    FOREIGN = "another account's"


@dataclass(frozen=True)
class Holder:
    """What is known of a key.

    Attributes:
        key: Its fingerprint.
        account: A mark that keys of one account share.
        user_id: What the hub calls the account with this key; None while it has not said.
    """

    key: str
    account: str
    user_id: str | None = None


class Accounts:
    """The keys of one hub, by account.

    Args:
        holders: What is known of them.
    """

    def __init__(self, holders: Iterable[Holder] = ()) -> None:
        self._holders: dict[str, Holder] = {}
        self.take(holders)

    def take(self, holders: Iterable[Holder]) -> None:
        """Take in what somebody else found out."""
        for holder in holders:
            self.join(holder.key, holder.user_id, [holder.account])

    def knows(self, key: str) -> bool:
        """Whether the hub has said whose a key is."""
        return key in self._holders and self._holders[key].user_id is not None

    def join(self, key: str, user_id: str | None, others: Iterable[str] = ()) -> list[Holder]:
        """Note whose a key is, and with which other keys it shares invoices.

        Returns:
            What is new about it and about others.
        """
        before = dict(self._holders)
        holder = self._holder(key)
        if user_id is not None:
            self._holders[key] = holder = replace(holder, user_id=user_id)
        same = {self._holder(other).account for other in others}
        same |= {
            other.account for other in before.values() if user_id is not None and other.user_id == user_id
        }
        for other in list(self._holders.values()):
            if other.account in same:
                self._holders[other.key] = replace(other, account=holder.account)
        return [now for name, now in self._holders.items() if before.get(name) != now]

    def whose(self, key: str | None, ours: str) -> Whose:
        """Whose something is that was sent or seen with a key.

        Args:
            key: The fingerprint of that key; None where it is not known.
            ours: That of the key of now.
        """
        if key is None:
            return Whose.NOT_TOLD
        theirs, mine = self._account(key), self._account(ours)
        if theirs == mine:
            return Whose.OURS
        told = all(self._is_told(account) for account in (theirs, mine))
        return Whose.FOREIGN if told else Whose.NOT_TOLD

    def _holder(self, key: str) -> Holder:
        return self._holders.setdefault(key, Holder(key, key))

    def _account(self, key: str) -> str:
        return self._holders[key].account if key in self._holders else key

    def _is_told(self, account: str) -> bool:
        holders = self._holders.values()
        return any(holder.account == account and holder.user_id is not None for holder in holders)


def user_id_of(data: Any) -> str | None:
    """The ``userId`` in the hub's balances; None where they name none."""
    given = data.get("userId") if isinstance(data, dict) else None
    if isinstance(given, int) and not isinstance(given, bool):
        return str(given)
    return given if isinstance(given, str) and given.strip() else None

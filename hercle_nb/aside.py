"""Rows of the journal that are not known to be this account's: kept apart, or shown with a doubt. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hercle_nb import commands
from hercle_nb.accounts import Whose
from hercle_nb.bolt11 import canonical
from hercle_nb.client_ids import spellings
from hercle_nb.journal.rows import ENTRY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_CLIENT_ID, _ID, _REQUEST, KEY = map(ENTRY.index, ("client_id", "id", "payment_request", "key"))


class Aside:
    """What other keys did, sorted by whose they are; what is another account's stays in here.

    Attributes:
        keys: The keys of everything that was let through.
    """

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self._commands: list[Any] = []
        self._invoices: list[Any] = []
        self._ids: set[str] = set()  # ClientIds of what is in here
        self._not_ours: dict[tuple[str, str], str] = {}  # the hub's id and the payment request: the key

    def sort(
        self, commands: list[Any], invoices: list[Any], whose: Callable[[str | None], Whose]
    ) -> tuple[list[Any], list[Any]]:
        """Rows of commands and of invoices without those of another account.

        Args:
            commands: Rows of commands.
            invoices: The columns of `journal.rows.ENTRY` of invoices.
            whose: Whose a key is.
        """
        keys = {row.key for row in commands} | {row[KEY] for row in invoices}
        owner = {key: whose(key) for key in keys}
        self.keys |= {key for key in keys if key is not None and owner[key] is not Whose.FOREIGN}
        if all(found is Whose.OURS for found in owner.values()):
            return commands, invoices
        for row in commands:
            if owner[row.key] is Whose.FOREIGN:
                self._commands.append(row)
                self._ids.update(filter(None, [row.client_id]))
        for row in invoices:
            if owner[row[KEY]] is Whose.FOREIGN:
                self._invoices.append(row)
                self._ids.update(filter(None, [row[_CLIENT_ID]]))
            if row[KEY] is not None and owner[row[KEY]] is not Whose.OURS:
                self._not_ours[row[_ID], canonical(row[_REQUEST])] = row[KEY]
        return (
            [row for row in commands if owner[row.key] is not Whose.FOREIGN],
            [row for row in invoices if owner[row[KEY]] is not Whose.FOREIGN],
        )

    def sort_again(self, whose: Callable[[str | None], Whose]) -> tuple[list[Any], list[Any]]:
        """The rows in here that are no other account's after all: more is known of whose the keys are."""
        commands_, invoices = self._commands, self._invoices
        self._commands, self._invoices, self._ids = [], [], set()
        self._not_ours = {name: key for name, key in self._not_ours.items() if whose(key) is not Whose.OURS}
        return self.sort(commands_, invoices, whose)

    def used(self, client_id: str) -> bool:
        """Whether another account has used a ClientId."""
        return not self._ids.isdisjoint(spellings(client_id))

    def keys_of(self, items: Any, more: Mapping[tuple[str, str], str]) -> set[str]:
        """The keys, not known to be ours, that made what a list of the hub's shows.

        Args:
            items: The hub's list.
            more: Further invoices: the hub's id and the payment request, and the key.
        """
        if not (self._not_ours or more):
            return set()
        found = {self._not_ours.get(name) or more.get(name) for name in _names(items)}
        return {key for key in found if key is not None}


def _names(items: Any) -> Iterable[tuple[str, str]]:
    for fields in items if isinstance(items, list) else []:
        text, hub_id = commands.payment_request(fields), commands.named_id(fields)
        if text is not None and hub_id is not None:
            yield hub_id, canonical(text)

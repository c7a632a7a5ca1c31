"""Whose the key of now is, and so what in the journal is ours: the hub is asked once, or its list tells."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from hercle_nb import commands
from hercle_nb.accounts import Accounts, Whose, user_id_of
from hercle_nb.aside import Aside
from hercle_nb.bolt11 import canonical
from hercle_nb.errors import HercleError, InvalidRequest
from hercle_nb.invoice_request import check_client_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hercle_nb._core import Core
    from hercle_nb.accounts import Holder
    from hercle_nb.calls import Call
    from hercle_nb.config import Secret
    from hercle_nb.journal.journal import Journal

logger = logging.getLogger("hercle_nb")


class OwnAccount:
    """The account of one hub's key; everything here runs on the hub's thread.

    Args:
        core: The hub.

    Attributes:
        fingerprint: That of the key of now; empty before it is known, and without a journal.
        key: The key that it is of.
        aside: What other keys did.
        has_news: More is known of whose the keys are than when `aside` was sorted.
    """

    def __init__(self, core: Core) -> None:
        self.fingerprint = ""
        self.key: Secret | None = None
        self.aside = Aside()
        self.has_news = False
        self._core = core
        self._accounts = Accounts()
        self._asked: set[str] = set()  # of which keys the hub was asked whose they are

    @property
    def is_settled(self) -> bool:
        """Whether the hub was asked whose the key is."""
        return self._accounts.knows(self.fingerprint) or self.fingerprint in self._asked

    @property
    def shows_foreign(self) -> bool:
        """Whether something that is shown is another account's, as seen with the key of now."""
        return any(self.whose_key(key) is Whose.FOREIGN for key in self.aside.keys)

    def take(self, holders: Iterable[Holder]) -> None:
        """Take in what the journal knows of keys."""
        self.has_news = self._accounts.take(holders) or self.has_news

    def forget(self, waiting: set[str]) -> None:
        """Forget what other keys did: the journal is read again.

        Args:
            waiting: The keys of commands that stay, since somebody waits for them.
        """
        self.aside = Aside()
        self.aside.keys |= {self.fingerprint, *waiting}

    async def know_key(self, journal: Journal) -> None:
        """Look which key it is now: a callable may give another one at each connection."""
        key = self._core.supervisor.key
        if key is not None and key != self.key:
            self.fingerprint, self.key = await journal.fingerprint(key), key
            self.aside.keys.add(self.fingerprint)
            self.has_news = True

    async def ask(self, journal: Journal, timeout: float) -> None:
        """Ask the hub, once for a key that the journal has not seen, whose it is."""
        key = self.fingerprint
        if not key or self.is_settled or self._core.supervisor.state != "connected":
            return
        self._asked.add(key)
        try:
            event = await self._core.command(commands.BALANCES, [], check_client_id(None), timeout)
        except HercleError as error:
            logger.info("whose the key is could not be had: %s", error)
            return
        except BaseException:
            self._asked.discard(key)
            raise
        user_id = user_id_of(event.data)
        if not self._is_current:
            self._asked.discard(key)  # the answer may be another key's
            return
        if user_id is None:
            return
        self._accounts.join(key, user_id)
        self.has_news = True
        journal.join(key, user_id, [])

    def recognise(self, items: Any, journal: Journal) -> bool:
        """Whether a list of the hub's shows what another key made: then both are keys of one account."""
        if not self._is_current:
            return False
        doubts = any(self.whose_key(key) is not Whose.OURS for key in self.aside.keys)
        here = {
            (call.invoice.id, canonical(call.invoice.payment_request)): call.key
            for call in (self._core.book.creations.values() if doubts else ())
            if not call.remembered  # else it is in `aside`
            and call.invoice is not None
            and call.key
            and self.whose(call) is not Whose.OURS
        }
        shared = self.aside.keys_of(items, here)
        if shared:
            self._accounts.join(self.fingerprint, None, shared)
            journal.join(self.fingerprint, None, list(shared))
        return bool(shared)

    def whose_key(self, key: str | None) -> Whose:
        """Whose something is that was sent or seen with a key of that fingerprint, None if not known."""
        return self._accounts.whose(key, self.fingerprint) if self._is_current else Whose.NOT_TOLD

    def whose(self, call: Call) -> Whose:
        """Whose a command is; ours without a journal, where no key has a fingerprint."""
        if not self.fingerprint or (call.key is None and not call.remembered):
            return Whose.OURS
        return self.whose_key(call.key)

    def is_foreign_key(self, key: str) -> bool:
        """Whether a key of that fingerprint is another account's, as seen with the key of now."""
        return bool(key) and self.whose_key(key) is Whose.FOREIGN

    def is_ours(self, call: Call) -> bool:
        """Whether a command was sent for this account, as far as anything tells."""
        return self.whose(call) is Whose.OURS

    def has_asked(self, call: Call) -> bool:
        """Whether a command was sent with the key of now."""
        return not self.fingerprint or (self._is_current and call.key == self.fingerprint)

    def doubt(self, call: Call) -> str:
        """What there is to say of an invoice whose account cannot be told; empty where it can."""
        if self.whose(call) is not Whose.NOT_TOLD:
            return ""
        return (
            "it was made with another API key, and whether that is one of this account cannot be told: the "
            "hub names no userId, and its list shows no invoice of that key"
        )

    def check(self, client_id: str) -> None:
        """Refuse a ClientId that another account has used.

        Raises:
            InvalidRequest: This one was.
        """
        if self.aside.used(client_id):
            raise InvalidRequest(
                f"The ClientId {client_id} was used for another account (another API key), as the journal "
                "knows; nothing was sent. What came of it is seen with a key of that account; under another "
                "client_id this account makes one too, which for the same order is a second one."
            )

    @property
    def _is_current(self) -> bool:
        return self.key == self._core.supervisor.key

"""A simulated Hercle hub in this process: the same protocol on a real socket, and invoices nobody can pay."""

from __future__ import annotations

import itertools
import secrets
from typing import TYPE_CHECKING, Any, TypeVar

from hercle_nb._pickling import StaysHere
from hercle_nb._portal import Portal
from hercle_nb.errors import ConfigurationError, ConnectionFailed, InvalidRequest
from hercle_nb.simulator.faults import Faults
from hercle_nb.simulator.server import Server
from hercle_nb.simulator.wire import invocation, write

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

T = TypeVar("T")

__all__ = ["Faults", "Simulator"]


class Simulator(StaysHere):
    """A hub on a loopback socket, served by a thread of its own from the constructor until `close`.

    It answers as ASP.NET Core SignalR does, so any SignalR client works with it. Its invoices are real
    BOLT 11 on regtest, signed by a node key that lives as long as it does. Methods may be called from
    any thread.

    Args:
        port: Where to listen on 127.0.0.1; 0 takes a free port.
        api_key: The right key; made at random if not given.

    Raises:
        ConfigurationError: The port is taken, or the key is empty.

    Example:
        >>> with Simulator() as simulator:
        ...     simulator.faults.noReply = True
        ...     simulator.url.endswith("/ExecutionLiveServer/v1")
        True
    """

    _instead = (
        "a worker reaches it with hercle.connect(url=simulator.url, api_key=simulator.api_key, journal=False)"
    )

    def __init__(self, port: int = 0, api_key: str | None = None) -> None:
        if api_key == "":
            raise ConfigurationError("The simulator's key is empty; leave it out for a random one.")
        self._server = Server(secrets.token_urlsafe() if api_key is None else api_key)
        self._closed = False
        self._portal = Portal("hercle-simulator", self._server.close)
        try:
            self._portal.call(self._server.start(port))
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """The hub's URL, to connect to."""
        return self._server.url

    @property
    def api_key(self) -> str:
        """The right key, of the account ``user_1``."""
        return self._server.state.api_key

    def add_key(self, user_id: str = "user_2", key: str | None = None) -> str:
        """Make another key, by default of a second account.

        Invoices, their list, balances and the ClientIds that were used belong to the account of the key
        that a connection was made with; `pay` and `push` reach all of them.

        Args:
            user_id: Whose key it is; ``"user_1"`` is the account of `api_key`.
            key: The key; made at random if not given.

        Returns:
            The key.

        Raises:
            InvalidRequest: The key is empty, or another account's.
        """

        async def add() -> str:
            made = secrets.token_urlsafe() if key is None else key
            if not self._server.state.add_key(user_id, made):
                raise InvalidRequest(
                    "That key is empty, or another account's; leave it out for a random one."
                )
            return made

        return self._call(add())

    def revoke(self, key: str) -> None:
        """Refuse a key from now on, and tear its connections down.

        Raises:
            InvalidRequest: The key is not right anyway.
        """

        async def revoke() -> None:
            if not self._server.state.revoke(key):
                raise InvalidRequest(
                    "The simulator takes no such key; give api_key, or what add_key returned."
                )

        self._call(revoke())

    @property
    def faults(self) -> Faults:
        """The switches for what goes wrong, named as the reference hub's."""
        return self._server.state.faults

    def pay(self, invoice: Any) -> None:
        """Pay an invoice, given as the hub's id or as an object with that ``id``: it reveals its preimage.

        Raises:
            InvalidRequest: The simulator has no such invoice.
        """
        invoice_id = invoice if isinstance(invoice, str) else getattr(invoice, "id", None)

        async def pay() -> None:
            known = self._server.state.invoices.get(str(invoice_id))
            if known is None:
                raise InvalidRequest(
                    f"The simulator has no invoice {invoice_id!r}; give the hub's id (inv_…) or the Invoice."
                )
            known.pay()

        self._call(pay())

    def push(self, target: str, *args: Any, count: int = 1, rate: float | None = None) -> None:
        """Invoke a target of every connected client, ``count`` times; returns when all are on their way.

        Args:
            target: The client's method, such as ``executionEvents``.
            args: Its arguments, anything that JSON can hold.
            count: How many times.
            rate: How many a second; None sends as fast as the slowest client reads.

        Raises:
            InvalidRequest: An argument that JSON has no form for.
        """
        message = invocation(target, write(list(args)))
        self._call(self._server.state.push(itertools.repeat(message, count), rate))

    def drop(self) -> None:
        """End every connection politely, as a hub does that wants its clients gone for good."""
        self._call(self._server.state.drop())

    def cut(self) -> None:
        """Tear every TCP connection down, without a word."""

        async def cut() -> None:
            self._server.state.cut()

        self._call(cut())

    def close(self) -> None:
        """Stop listening, tear down what is connected and end the thread; more than once is fine."""
        self._closed = True
        self._portal.stop()

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if self._closed:
            coroutine.close()
            raise ConnectionFailed("The simulator is closed; make a new one.")
        return self._portal.call(coroutine)

    def __enter__(self) -> Simulator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self._server.state.connections)} connected"
        return f"<Simulator {self.url}, {state}, {len(self._server.state.invoices)} invoices>"

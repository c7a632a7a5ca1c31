"""The awaitable face of a hub: every verb's one definition. `Hub` forwards to it."""

from __future__ import annotations

import asyncio
import fnmatch
import weakref
from typing import TYPE_CHECKING, Any, Self

from hercle_nb import commands
from hercle_nb._face import Face, check_timeout, start
from hercle_nb.config import ApiKey
from hercle_nb.errors import InvalidRequest
from hercle_nb.invoice_request import InvoiceRequest, check_client_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from hercle_nb._core import Core
    from hercle_nb._portal import Portal
    from hercle_nb.events import HubEvent
    from hercle_nb.invoices import Invoice


async def connect_async(
    environment: str | None = None,
    *,
    api_key: str | Callable[[], str] | None = None,
    url: str | None = None,
    allow_insecure: bool = False,
    journal: bool | None = None,
    max_events: int = 1_000_000,
    max_bytes: int = 1 << 30,
    timeout: float = 30.0,
) -> AsyncHub:
    """Connect to a hub; the awaitable twin of `connect`.

    Raises:
        ConfigurationError: An argument or variable is missing, unknown or contradicts another.
        AuthenticationError: The hub refused the key.
        ConnectionFailed: No hub there, not a hub, or nothing came of it within ``timeout`` seconds.
    """
    api_key = ApiKey.wrapped(api_key)
    timeout = check_timeout(timeout)
    core, portal = start(
        environment,
        api_key,
        url,
        allow_insecure=allow_insecure,
        journal=journal,
        max_events=max_events,
        max_bytes=max_bytes,
    )
    hub = AsyncHub(core, portal, timeout)
    try:
        await portal.hop(core.connect(timeout))
    except BaseException:
        await hub.close()
        raise
    return hub


class AsyncHub(Face):
    """A hub for coroutines: the verbs of `Hub`, awaitable on any running loop.

    The connection lives on a thread of its own, so it stays alive whatever the awaiting loop does.
    """

    def __init__(self, core: Core, portal: Portal, timeout: float) -> None:
        super().__init__(core, portal, timeout)
        finalizer = weakref.finalize(self, portal.request_stop)
        finalizer.atexit = False  # the portal has its own way out, which waits

    async def create_invoice(
        self,
        amount_btc: Any = None,
        memo: str | None = None,
        expiry_hours: int | None = None,
        *,
        amount_sat: int | None = None,
        client_id: str | None = None,
        allow_msat: bool = False,
        timeout: float | None = None,
    ) -> Invoice:
        """Create a Lightning invoice.

        See `Hub.create_invoice`.
        """
        request = InvoiceRequest(
            amount_btc, memo, expiry_hours, client_id, amount_sat=amount_sat, allow_msat=allow_msat
        )
        self._note_missing_journal(stacklevel=2)
        return await self._portal.hop(self._core.create(request, self._seconds(timeout)))

    async def command(
        self, method: str, *args: Any, client_id: str | None = None, timeout: float | None = None
    ) -> HubEvent:
        """Send a command and wait for the event that answers it.

        See `Hub.command`.
        """
        _check_method(method)
        documented = commands.documented(method)
        if documented is not None and documented.answer is None:
            raise InvalidRequest(
                f"No event answers {method}, its completion alone does; write "
                f"hub.invoke({method!r}, 'my-feed', 'BTCUSDT', 1) and find the prices in hub.events."
            )
        call = self._core.command(method, list(args), check_client_id(client_id), self._seconds(timeout))
        return await self._portal.hop(call)

    async def invoke(self, method: str, *args: Any, timeout: float | None = None) -> Any:
        """Invoke a hub method and wait for its completion: the bare SignalR call.

        See `Hub.invoke`.
        """
        _check_method(method)
        return await self._portal.hop(self._core.invoke(method, list(args), self._seconds(timeout)))

    async def wait_for(
        self,
        subject: str | None = None,
        *,
        client_id: str | None = None,
        target: str | None = None,
        where: Callable[[HubEvent], object] | None = None,
        since: int | None = None,
        timeout: float | None = None,
    ) -> HubEvent:
        """Wait for a hub event that matches.

        See `Hub.wait_for`.
        """
        matches = _matcher(subject, client_id, target, where)
        begin = self.log.next_seq if since is None else since
        return await self._portal.hop(self._core.wait_for(matches, begin, self._seconds(timeout)))

    async def close(self) -> None:
        """Say goodbye to the hub and end its thread; does nothing the second time."""
        if self._portal.on_thread:
            self._portal.request_stop()
        else:
            await asyncio.to_thread(self._portal.stop)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


def _matcher(
    subject: str | None,
    client_id: str | None,
    target: str | None,
    where: Callable[[HubEvent], object] | None,
) -> Callable[[HubEvent], bool]:
    def matches(event: HubEvent) -> bool:
        return (
            (subject is None or fnmatch.fnmatchcase(event.subject or "", subject))
            and (client_id is None or event.client_id == client_id)
            and (target is None or (event.target or "").lower() == target.lower())
            and (where is None or bool(where(event)))
        )

    return matches


def _check_method(method: Any) -> None:
    if not isinstance(method, str) or not method:
        raise InvalidRequest(f"A hub method is a name such as 'GetBalances', not {method!r}.")

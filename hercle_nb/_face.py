"""What both faces of a hub show without asking it: state, counts, the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hercle_nb._fallback import say_simulated
from hercle_nb._pickling import StaysHere
from hercle_nb._portal import FORKED
from hercle_nb.amounts import format_btc
from hercle_nb.client_ids import cleaned
from hercle_nb.config import ApiKey, check_max_btc, expected_network, resolve
from hercle_nb.errors import ConfigurationError, ConnectionFailed, InvalidRequest
from hercle_nb.log import EventLog

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    import pandas as pd

    from hercle_nb._core import Core
    from hercle_nb._portal import Portal
    from hercle_nb._signalr.supervisor import State
    from hercle_nb._signalr.transport import Timings
    from hercle_nb.batch.batch import Batch
    from hercle_nb.callbacks import Handle
    from hercle_nb.events import HubEvent
    from hercle_nb.invoices import Invoice
    from hercle_nb.journal.place import Place
    from hercle_nb.payments import Watch
    from hercle_nb.progress import WaitLine
    from hercle_nb.simulator import Simulator


_MOST_IN_FLIGHT = 1_000


class Face(StaysHere):
    """The part of `Hub` and `AsyncHub` that never waits.

    Attributes:
        log: The `EventLog`.
        timeout: Seconds that a verb waits unless told otherwise.
    """

    log: EventLog
    timeout: float

    _instead = "call hercle.connect() in the worker, and let threads share one hub"

    def __init__(self, core: Core, portal: Portal, timeout: float) -> None:
        self._core = core
        self._portal = portal
        self.log = core.log
        self.timeout = timeout

    @property
    def environment(self) -> str:
        """``simulator``, ``sandbox`` or ``production``."""
        return self._core.environment

    @property
    def url(self) -> str:
        """The hub's URL."""
        return self._core.url

    @property
    def state(self) -> State:
        """``connecting``, ``connected``, ``reconnecting`` or ``closed``."""
        return "closed" if self._portal.forked else self._core.supervisor.state

    @property
    def stats(self) -> dict[str, Any]:
        """Counters since the hub was made, as a flat mapping; sizes in bytes, times in seconds.

        Returns:
            ``attempts`` to connect, ``reconnects``, ``gaps``, ``bytes_in``, ``bytes_out``, ``messages_in``,
            ``messages_out``, ``events``, ``events_dropped`` (rows evicted), ``callback_errors``,
            ``callback_drops`` (rows evicted before slow callbacks and streams saw them),
            ``last_message_age`` (None without a connection), ``round_trip_p50`` and ``round_trip_p95`` (of
            the last thousand commands; None before the first), and ``last_error`` (None while connected).
        """
        core, supervisor = self._core, self._core.supervisor
        trips = sorted(core.round_trips)
        return {
            "attempts": supervisor.attempts,
            "reconnects": max(0, supervisor.connections - 1),
            "gaps": self.log.losses,
            **supervisor.counters(),
            "events": core.events,
            "events_dropped": self.log.evicted,
            "callback_errors": core.callbacks.errors,
            "callback_drops": core.callbacks.drops + core.stream_drops,
            "last_message_age": supervisor.silence(),
            "round_trip_p50": trips[len(trips) // 2] if trips else None,
            "round_trip_p95": trips[len(trips) * 95 // 100] if trips else None,
            "last_error": self._last_error(),
        }

    def on_event(self, callback: Callable[[HubEvent], object], subject: str = "*") -> Handle:
        """Call back with each hub event from now on, in order, on a thread of its own.

        A blocking verb works inside a callback. A slow one delays callbacks alone: the events wait in the
        log, and what is evicted there before its turn is counted. What a callback raises is logged and
        counted. The hub stays alive until the handle is cancelled or the hub closed.

        Args:
            callback: Called with a `HubEvent`.
            subject: A pattern such as ``execution.*``, matched with case.

        Raises:
            InvalidRequest: The callback cannot be called, or the pattern is no text.
            ConnectionFailed: The hub is closed.

        Example:
            >>> import queue
            >>> import hercle_nb as hercle
            >>> seen = queue.SimpleQueue()
            >>> with hercle.connect("simulator") as hub, hub.prices("BTCUSDT"):
            ...     handle = hub.on_event(seen.put, "execution.feeds.*")
            ...     seen.get(timeout=10).data["pair"]
            'BTCUSDT'
        """
        if self._portal.forked:
            raise ConnectionFailed(FORKED)
        if not callable(callback) or not isinstance(subject, str):
            raise InvalidRequest('on_event() takes a function and a pattern such as "execution.*".')
        self._core.supervisor.check()
        return self._core.callbacks.add(callback, subject, self)

    @property
    def events(self) -> pd.DataFrame:
        """Every hub event so far, with our commands and the connection's changes between them.

        Returns:
            A DataFrame as `EventLog.frame` describes it, with index ``seq`` and columns ``received_at``,
            ``kind``, ``connection``, ``target``, ``subject``, ``client_id``, ``data``, ``channel``,
            ``topic``, ``type``, ``raw``.

        Example:
            >>> import hercle_nb as hercle
            >>> with hercle.connect("simulator") as hub:
            ...     invoice = hub.create_invoice(0.001, "Payment for services", 24)
            ...     hub.events["subject"].dropna().to_list()
            ['connection.opened', 'execution.invoice.created']
        """
        return self.log.frame()

    @property
    def subscriptions(self) -> pd.DataFrame:
        """The price feeds there are.

        Returns:
            Index ``pair`` str; columns ``size`` float64, ``state`` str (active, reconnecting or refused),
            ``subscribed_at``, ``latest_at`` datetime64[us, UTC] (NaT before the first price), ``age`` float64
            (seconds since the last price, or since the subscription).
        """
        return self._core.feeds.frame()

    @property
    def invoices(self) -> pd.DataFrame:
        """The invoices created here and those that the hub's list showed, as of its last look, by time.

        No property asks the hub: `refresh_invoices` does. Creations that the hub refused, or whose outcome is
        unknown, are rows too. With a journal what earlier and other kernels knew is there as well, and stays
        though the hub's list lacks it.

        Returns:
            Index ``client_id`` str (the hub's id where only the hub knows it); columns ``status`` category
            (open, paid, expired, closed, rejected, unknown; by the hub's clock at this reading),
            ``amount_sat`` Int64 (NA for a fraction), ``memo`` str, ``created_at``, ``expires_at``,
            ``updated_at`` datetime64[us, UTC], ``id`` str, ``amount_msat`` Int64, ``amount_btc`` float64 (the
            nearest double, for sums and plots), ``asked_msat`` Int64 (what was asked of the hub, where the
            payment request asks for another amount, which is that of the other columns; else NA),
            ``payment_hash``, ``preimage``, ``payment_request`` str, ``http_status`` Int64, ``message`` str
            (what is not as it should be, else the hub's words). ``attrs["environment"]`` says where they came
            from.
        """
        frame = self._core.book.frame()
        frame.attrs["environment"] = self.environment
        return frame

    def invoice(self, key: str | Invoice) -> Invoice:
        """An invoice as it stands now, as far as it is known here.

        Args:
            key: A ClientId, the hub's id, a payment hash, a payment request, or an older `Invoice` of it.

        Raises:
            InvalidRequest: None such is known; `refresh_invoices` asks the hub.
        """
        return self._core.book.find(key)

    @property
    def unresolved(self) -> pd.DataFrame:
        """The commands that were sent and whose outcome is unknown, the oldest first; see `resolve`.

        With a journal those of earlier and other kernels too, as of the last look at it: on connecting, by
        `resolve` and by `refresh_invoices`.

        Returns:
            Index ``client_id`` str (of a bare invocation without one, its mark in the journal); columns
            ``method`` str, ``sent_at`` datetime64[us, UTC], ``amount_msat`` Int64, ``memo`` str,
            ``expiry_hours`` Int64.
        """
        from hercle_nb.invoice_frame import unresolved_frame  # deferred: brings pandas

        return unresolved_frame(self._core.book.unresolved())

    def export_invoices(self, path: str | PathLike[str]) -> None:
        """Write the frame `invoices` to a file: ``.csv``, ``.xlsx`` or ``.parquet``.

        Amounts are exact in all three, and no memo can become a formula. The last column, ``environment``,
        says where they came from.

        Args:
            path: Where to. The file is complete or as it was before.

        Raises:
            InvalidRequest: Another suffix, or more than Excel takes.
            ConfigurationError: openpyxl (for Excel) or pyarrow (for Parquet) is not installed.
            OSError: It cannot be written.

        Example:
            >>> import pathlib, tempfile
            >>> import hercle_nb as hercle
            >>> folder = tempfile.TemporaryDirectory()
            >>> with folder, hercle.connect("simulator") as hub:
            ...     invoice = hub.create_invoice(0.001, "Payment for services", 24)
            ...     hub.export_invoices(file := pathlib.Path(folder.name) / "invoices.csv")
            ...     "Payment for services" in file.read_text()
            True
        """
        from hercle_nb.invoice_export import write_invoices  # deferred: brings pandas

        write_invoices(self.invoices, path, self.environment)

    def on_paid(self, callback: Callable[[Invoice], object]) -> Watch:
        """Call back with each invoice that is seen to be paid from now on, on a thread of its own.

        Until the handle is cancelled the hub's list is asked for at the pace of `wait_paid`, once for
        everybody. What a callback raises is logged and counted. The hub stays alive until then.

        Args:
            callback: Called with an `Invoice` whose preimage proves the payment.

        Raises:
            InvalidRequest: The callback cannot be called.
            ConnectionFailed: The hub is closed.

        Example:
            >>> import queue
            >>> import hercle_nb as hercle
            >>> paid = queue.SimpleQueue()
            >>> with hercle.connect("simulator") as hub:
            ...     watch = hub.on_paid(paid.put)
            ...     hub.simulator.pay(hub.create_invoice(0.001, client_id="order-17"))
            ...     frame = hub.refresh_invoices()  # or wait until it looks by itself
            ...     paid.get(timeout=10).client_id
            'order-17'
        """
        from hercle_nb.payments import Watch  # deferred: the hub's thread has it

        if self._portal.forked:
            raise ConnectionFailed(FORKED)
        if not callable(callback):
            raise InvalidRequest("on_paid() takes a function that is called with an Invoice.")
        self._core.supervisor.check()
        self._core.callbacks.begin()
        watch = Watch(self._core.payments, callback, self)
        self._portal.submit(self._core.payments.add(watch))
        return watch

    def batch(self, batch_id: str | None = None) -> pd.DataFrame:
        """A batch of `create_invoices` as it stands now; it asks nobody.

        Args:
            batch_id: Which one; None for the last.

        Returns:
            The frame that `create_invoices` returns.

        Raises:
            InvalidRequest: There was none in this kernel.
        """
        batches = list(self._core.batches.values())
        if batch_id is not None:
            batches = [batch for batch in batches if batch.made.batch_id == cleaned(batch_id)]
        if not batches:
            which = "no batch" if batch_id is None else f"no batch {batch_id!r}"
            raise InvalidRequest(
                f"This hub has run {which}; hub.create_invoices(rows, batch_id=…, dry_run=True) with the "
                "same rows again shows what is known of them and sends nothing; a batch_id that was never "
                "used makes all of them anew."
            )
        return batches[-1].frame()

    @property
    def simulator(self) -> Simulator:
        """The simulator that this hub started.

        Raises:
            ConfigurationError: The hub is a real one.
        """
        if self._core.simulator is None:
            raise ConfigurationError(
                f"This hub is {self.environment}; only hercle.connect('simulator') has one."
            )
        return self._core.simulator

    def __repr__(self) -> str:
        from hercle_nb.display import hub_text

        return hub_text(self)

    def _repr_html_(self) -> str:
        from hercle_nb.display import hub_card

        return hub_card(self)

    def _last_error(self) -> str | None:
        """Why there is no connection; None while there is one."""
        supervisor = self._core.supervisor
        if self._portal.forked:
            return FORKED
        return supervisor.trouble or (None if supervisor.error is None else str(supervisor.error))

    def _wait_line(self, key: str | Invoice, *, enabled: bool) -> WaitLine:
        """The line that shows how the wait for a payment goes."""
        from hercle_nb.progress import WaitLine  # deferred: few need it

        try:
            invoice = self._core.book.find(key)
        except InvalidRequest:  # the hub's list may have it
            return WaitLine("payment", None, enabled)
        if invoice.amount_msat is not None:
            what = format_btc(invoice.amount_msat)
        else:
            what = "an unknown amount" if invoice.payment_hash is None else "any amount"
        if invoice.asked_msat is not None:
            what += f", not of the {format_btc(invoice.asked_msat)} asked for"
        supervisor = self._core.supervisor

        def clock_ahead() -> float:
            return supervisor.clock_ahead or invoice.clock_ahead

        return WaitLine(f"payment of {what}", invoice.expires_at, enabled, clock_ahead)

    def _batch(
        self, rows: Any, batch_id: str | None, key: str | None, existing: str, *, again: bool
    ) -> Batch:
        """Rows, checked as far as they can be without asking anybody."""
        from hercle_nb.batch.batch import Batch  # deferred: brings pandas

        if existing not in ("refuse", "keep"):
            raise InvalidRequest(f'existing must be "refuse" or "keep", not {existing!r}.')
        self._core.supervisor.check()
        return Batch(self._core, rows, batch_id, key, keeps=existing == "keep", again=bool(again))

    def _seconds(self, timeout: float | None) -> float:
        return self.timeout if timeout is None else check_timeout(timeout)


def start(
    environment: str | None,
    api_key: str | Callable[[], str] | ApiKey | None,
    url: str | None,
    *,
    allow_insecure: bool,
    journal: Any,
    max_btc: Any = 1,
    network: str | None = None,
    max_events: int,
    max_bytes: int,
    timings: Timings | None = None,
) -> tuple[Core, Portal]:
    """Make a hub's core and the thread it will live on, without connecting it.

    Raises:
        ConfigurationError: An argument or variable is missing, unknown or contradicts another.
    """
    from hercle_nb._core import Core  # deferred: brings aiohttp
    from hercle_nb._portal import Portal

    for name, value in (("max_events", max_events), ("max_bytes", max_bytes)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigurationError(f"{name} must be a whole number of at least 1, not {value!r}.")
    max_msat = check_max_btc(max_btc)
    settings = resolve(environment, api_key, url, allow_insecure=allow_insecure)
    currency = expected_network(network, settings.environment)
    place = _journal_place(journal, settings.environment)
    simulator = None
    url, key_given = settings.url, settings.key
    if url is None or key_given is None:
        from hercle_nb.simulator import Simulator

        simulator = Simulator()
        if settings.by_itself:
            say_simulated()
        url, key_given = simulator.url, ApiKey(simulator.api_key, "the simulator")
    log = EventLog(max_events, max_bytes)
    core = Core(
        settings.environment,
        url,
        key_given,
        log,
        simulator,
        timings,
        max_msat=max_msat,
        currency=currency,
    )
    if place is not None:
        from hercle_nb.journal.journal import Journal

        core.memory.journal = Journal(place, url, settings.environment)
    return core, Portal("hercle-hub", core.close)


def _journal_place(journal: Any, environment: str) -> Place | None:
    if journal is False or (journal is None and environment == "simulator"):
        return None  # and SQLAlchemy is not needed
    from hercle_nb.journal.place import find_place

    return find_place(journal, environment)


def check_timeout(timeout: Any) -> float:
    """A time-out in seconds.

    Raises:
        InvalidRequest: Not a positive, finite number.
    """
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < float("inf"):
        raise InvalidRequest(f"timeout must be a positive number of seconds, not {timeout!r}.")
    return float(timeout)


def check_poll(poll: Any) -> float:
    """The seconds between two looks at the hub's list.

    Raises:
        InvalidRequest: Not a finite number of at least 0.1.
    """
    if isinstance(poll, bool) or not isinstance(poll, int | float) or not 0.1 <= poll < float("inf"):
        raise InvalidRequest(f"poll must be a number of seconds of at least 0.1, not {poll!r}.")
    return float(poll)


def check_max_in_flight(number: Any) -> int:
    """How many rows may be under way at the same time.

    Raises:
        InvalidRequest: Not a whole number from 1 to 1,000.
    """
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= _MOST_IN_FLIGHT:
        raise InvalidRequest(
            f"max_in_flight must be a whole number from 1 to {_MOST_IN_FLIGHT:,}, not {number!r}."
        )
    return number

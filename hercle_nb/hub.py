"""What a cell talks to: `connect`, and the `Hub` it returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from hercle_nb._face import Face, check_max_in_flight, check_poll, check_timeout, start
from hercle_nb._keywords import with_helpful_keywords
from hercle_nb.aio import AsyncHub
from hercle_nb.config import ApiKey, hidden
from hercle_nb.progress import BatchBar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from decimal import Decimal
    from os import PathLike
    from types import TracebackType
    from typing import TypeVar

    import pandas as pd

    from hercle_nb.book import Resolution
    from hercle_nb.events import HubEvent
    from hercle_nb.invoices import Invoice
    from hercle_nb.subscriptions import Subscription
    from hercle_nb.widgets.form import InvoiceForm
    from hercle_nb.widgets.inspector import InvoiceInspector
    from hercle_nb.widgets.monitor import EventMonitor

    T = TypeVar("T")


def connect(
    environment: str | None = None,
    *,
    api_key: str | Callable[[], str] | None = None,
    url: str | None = None,
    allow_insecure: bool = False,
    journal: str | PathLike[str] | bool | None = None,
    max_btc: Any = 1,
    network: str | None = None,
    max_events: int = 1_000_000,
    max_bytes: int = 1 << 30,
    timeout: float = 30.0,
) -> Hub:
    """Connect to a hub; without a key, to a simulator inside this process.

    Args:
        environment: ``simulator``, ``sandbox`` or ``production``. None takes the variable ``HERCLE_ENV``,
            else ``sandbox`` if there is a key or a URL, else ``simulator``, which is said on standard error
            where no terminal or notebook would show it; a URL outranks the variable's ``simulator``.
        api_key: The key, a callable that is asked for it before every attempt, ``"ask"`` for a hidden
            prompt, or None for the variable ``HERCLE_API_KEY``. The simulator needs none.
        url: Another URL than the environment's own.
        allow_insecure: Send the key over plain http to a host that is not this machine.
        journal: Where commands and answers are kept beyond this kernel: a path of an SQLite file, or an
            SQLAlchemy URL such as ``postgresql+psycopg://user@host/database``. None takes a file of the
            environment's in the user's data folder, and none for the simulator; False keeps none.
        max_btc: The most BTC that one invoice may ask of this hub, by call, row or form, written as
            ``amount_btc`` is; None for all there will ever be. What is known already is returned all the
            same.
        network: Which network payment requests must name: ``bc`` (Bitcoin itself), ``tb``, ``tbs`` or
            ``bcrt``; None is ``bc`` on production and any but ``bc`` elsewhere (assumed of the sandbox). One
            that names another is an alarm in the invoice's ``warnings``, without a QR code.
        max_events: Rows that the log keeps at least; older ones are evicted.
        max_bytes: The same for the bytes of their messages.
        timeout: Seconds for connecting, and the default for every verb.

    Raises:
        ConfigurationError: An argument or variable is missing, unknown or contradicts another.
        AuthenticationError: The hub refused the key; the message names where the key came from.
        ConnectionFailed: No hub there, not a hub, or nothing came of it within ``timeout`` seconds.
        JournalError: The journal cannot be read or written; it was left as it is.

    Example:
        >>> with connect("simulator") as hub:
        ...     hub.create_invoice(0.001, "Payment for services", 24).amount_sat
        100000
    """
    api_key, journal = ApiKey.wrapped(api_key), hidden(journal)
    timeout = check_timeout(timeout)
    core, portal = start(
        environment,
        api_key,
        url,
        allow_insecure=allow_insecure,
        journal=journal,
        max_btc=max_btc,
        network=network,
        max_events=max_events,
        max_bytes=max_bytes,
    )
    try:
        portal.call(core.connect(timeout))
    except BaseException:
        portal.stop()
        raise
    return Hub(AsyncHub(core, portal, timeout))


class Hub(Face):
    """A connection to Hercle's hub that any cell, thread or callback can use.

    Verbs block until the answer is there and stop at once on an interrupt. The connection lives on a
    thread of its own: it stays alive, and logs every event, while cells are busy; when it is lost it is
    made again, and `EventLog.gaps` says what may be missing. A hub to which nothing refers any more closes
    itself.

    Attributes:
        aio: The same verbs, awaitable.
        log: The `EventLog`.
        timeout: Seconds that a verb waits unless told otherwise.
    """

    aio: AsyncHub

    def __init__(self, aio: AsyncHub) -> None:
        super().__init__(aio._core, aio._portal, aio.timeout)
        self.aio = aio

    def create_invoice(
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

        Never sent twice by itself: the same ClientId with the same arguments again returns the known
        invoice (``reused``), with a journal also if an earlier or another kernel created it. When it returns,
        the answering event is in `events` and, with a journal, durable.

        Args:
            amount_btc: The amount in BTC: `Decimal`, `int`, plain decimal `str`, or a `float`, of which
                the digits count that Python shows.
            memo: At most 639 bytes of UTF-8, or None.
            expiry_hours: Whole hours from 1 to 720, or None for the hub's default of 24.
            amount_sat: The amount in satoshis, instead of ``amount_btc``.
            client_id: 1 to 36 printable ASCII characters without spaces; made if None.
            allow_msat: Accept fractions of a satoshi.
            timeout: Seconds to wait for the answer; None for the hub's own.

        Raises:
            InvalidRequest: An argument breaks a rule, the amount is above ``max_btc`` of `connect`, or the
                ClientId was used with other arguments, or for another account; nothing was sent.
            CommandRejected: The hub refused, with its words.
            OutcomeUnknown: It was sent, and no answer came or one without a payment request, the connection
                was lost, or the journal could not keep the answer.
            HubTimeout: It could not be sent in time.
            JournalError: The journal could not be written; nothing was sent.
            ConnectionFailed: The hub is closed.

        Example:
            >>> hub = connect("simulator")
            >>> invoice = hub.create_invoice("0.001", "Coffee", 24, client_id="order-17")
            >>> invoice.status, invoice.amount_btc
            ('open', Decimal('0.001'))
            >>> hub.close()
        """
        return self._wait(
            self.aio.create_invoice(
                amount_btc,
                memo,
                expiry_hours,
                amount_sat=amount_sat,
                client_id=client_id,
                allow_msat=allow_msat,
                timeout=timeout,
            )
        )

    def create_invoices(
        self,
        rows: Any,
        *,
        batch_id: str | None = None,
        key: str | None = None,
        max_in_flight: int = 16,
        progress: bool = True,
        dry_run: bool = False,
        existing: Literal["refuse", "keep"] = "refuse",
        again: bool = False,
        timeout: float | None = None,
    ) -> pd.DataFrame:
        """Create invoices from a table, several at a time.

        Every row is checked before any is sent. A row that fails never stops the others. Run again with the
        same ``batch_id``, or with rows that have ClientIds of their own, it sends only what was never sent.
        An interrupt raises `KeyboardInterrupt` with a note of how far it came; `batch` is what is done.

        Args:
            rows: A DataFrame, the path of a CSV file, or dicts or `InvoiceRequest` objects. The columns
                ``amount_btc`` or ``amount_sat``, ``memo``, ``expiry_hours`` and ``client_id`` are found
                however they are written ("Amount BTC"); any others are carried through, and it is printed
                which of them look like one that is lacking ("Valid until").
            batch_id: Any text; a row's ClientId is made from it and the row's number. None makes one, prints
                it and keeps it in ``frame.attrs["batch_id"]``.
            key: A column whose values take the place of the numbers, which shift when a table is sorted.
            max_in_flight: How many rows are under way at the same time: after a kill so many are unknown.
            progress: Show a progress bar, in a notebook or a terminal.
            dry_run: Send nothing; print what the rows add up to and which columns were read as what, and
                return the table as it would be sent.
            existing: What becomes of rows that ask for something else than what was sent for them: ``refuse``
                refuses the call, ``keep`` keeps what there is, says so in ``note``, and sends the others.
            again: Send once more what a batch without a ``batch_id`` has sent: second invoices.
            timeout: Seconds to wait for the answer to each row; None for the hub's own.

        Returns:
            The rows' own index, order and columns, then ``client_id`` str, ``status`` category (as in
            `invoices`, and ``not sent``), ``error`` and ``note`` str, the columns of `invoices` and
            ``environment`` str; where a name clashes, ours has the prefix ``invoice_``.

        Raises:
            InvalidRequest: Some rows cannot be sent, are above ``max_btc`` of `connect`, or their ClientIds
                were used for something else; all of these are named by number, from 0. Or rows without a
                ``batch_id`` ask for the same as a batch that was made without one. Nothing was sent.
            JournalError: The journal cannot be read or written.
            ConnectionFailed: The hub is closed.

        Example:
            >>> with connect("simulator") as hub:
            ...     tea = {"amount_sat": 1_000, "memo": "Tea"}
            ...     cake = {"amount_sat": 2_500, "memo": "Cake"}
            ...     frame = hub.create_invoices([tea, cake], batch_id="café", progress=False)
            ...     list(frame["status"])
            ['open', 'open']
        """
        batch = self._batch(rows, batch_id, key, existing, again=again)
        if dry_run:
            return batch.shown(self._portal.call(batch.check()))
        run = batch.run(check_max_in_flight(max_in_flight), self._seconds(timeout))
        with BatchBar(batch.total, enabled=progress) as bar:
            self._portal.call(run, tick=lambda: bar.update(batch.finished))
            bar.update(batch.finished)
        return batch.frame()

    def refresh_invoices(self, *, timeout: float | None = None) -> pd.DataFrame:
        """Ask the hub for its list of invoices and merge it with what is known here.

        Invoices are the same by payment hash, then by the hub's id. What does not fit is an alarm in the
        invoice's ``warnings`` and in the row's ``message``. Creations of unknown outcome that exactly one
        invoice fits are settled.

        Args:
            timeout: Seconds to wait for the list; None for the hub's own.

        Returns:
            The frame `invoices`.

        Raises:
            CommandRejected: The hub refused.
            HubTimeout: No answer in time.
            ConnectionFailed: The hub is closed, or its list is larger than this client takes.

        Example:
            >>> with connect("simulator") as hub:
            ...     invoice = hub.create_invoice(0.001, "Payment for services", 24)
            ...     hub.simulator.pay(invoice)
            ...     hub.refresh_invoices()["status"].to_list()
            ['paid']
        """
        return self._wait(self.aio.refresh_invoices(timeout=timeout))

    def wait_paid(
        self, invoice: str | Invoice, *, timeout: float, poll: float = 5.0, progress: bool = True
    ) -> Invoice:
        """Wait until an invoice is paid, and return it.

        It returns only where a preimage proves the payment. A lost connection does not end the wait. However
        many wait, the hub's list is asked for once, at the pace of the most impatient; longer lists are asked
        for less often, so that they cost at most 200 kB a second.

        Args:
            invoice: The invoice, or what `invoice` finds it by.
            timeout: Seconds to wait.
            poll: Seconds between two looks at the hub's list.
            progress: Show a line with the time gone and the time left, in a notebook or a terminal.

        Raises:
            NotPaid: It expired (the hub still called it open 10 s later), or it is closed without a proof.
            HubTimeout: No payment was seen in time.
            InvalidRequest: Neither this kernel nor the hub knows it.
            CommandRejected: The hub refused to show its list.
            ConnectionFailed: The hub is closed.

        Example:
            >>> with connect("simulator") as hub:
            ...     invoice = hub.create_invoice(0.001, "Payment for services", 24)
            ...     hub.simulator.pay(invoice)
            ...     hub.wait_paid(invoice, timeout=10).status
            'paid'
        """
        wait = self._core.payments.wait(invoice, check_timeout(timeout), check_poll(poll))
        with self._wait_line(invoice, enabled=progress) as line:
            paid = self._portal.call(wait, tick=lambda: line.update(self.state))
            line.end(f"paid after {line.elapsed}")
        return paid

    def resolve(self, client_id: str, *, dismiss: bool = False, timeout: float | None = None) -> Resolution:
        """Look again what became of a command of unknown outcome, in the hub's own list.

        Nothing is ever sent again. Where the list does not tell, it stays unresolved.

        Args:
            client_id: The command's, as in `unresolved`.
            dismiss: Do not look; settle by decision that it stays unknown. Its ClientId is never sent again.
            timeout: Seconds to wait for the list; None for the hub's own.

        Returns:
            What was found; its ``outcome`` is ``adopted``, ``not found``, ``several`` or ``dismissed``.

        Raises:
            InvalidRequest: No such command is of unknown outcome; or another key sent it, and whether that is
                one of this account cannot be told.
            CommandRejected: The hub has refused it since, or refused to show its list.
            HubTimeout: No list in time.
            JournalError: The decision could not be written.
            ConnectionFailed: The hub is closed.

        Example:
            >>> hub = connect("simulator")
            >>> hub.simulator.faults.noReply = True
            >>> hub.create_invoice(0.001, client_id="tea-1", timeout=0.2)  # doctest: +IGNORE_EXCEPTION_DETAIL
            Traceback (most recent call last):
            OutcomeUnknown: CreateLightningInvoice with ClientId tea-1 was sent …
            >>> hub.simulator.faults.clear()
            >>> hub.resolve("tea-1").outcome
            'adopted'
            >>> hub.close()
        """
        return self._wait(self.aio.resolve(client_id, dismiss=dismiss, timeout=timeout))

    def command(
        self, method: str, *args: Any, client_id: str | None = None, timeout: float | None = None
    ) -> HubEvent:
        """Send a command and wait for the event that answers it.

        Args:
            method: The hub method, such as ``GetBalances``.
            args: Its arguments after the ClientId, which is put first.
            client_id: The ClientId; made if None.
            timeout: Seconds to wait for the answer; None for the hub's own.

        Raises:
            InvalidRequest: An argument cannot be sent, no event answers this method, or it is a creation
                above ``max_btc`` of `connect`.
            CommandRejected: The hub refused, with its words.
            HubTimeout: No answer to a documented query in time, or it could not be sent in time.
            OutcomeUnknown: No answer to any other method, which may have changed something.
            JournalError: The journal could not be written, which holds any other method; nothing was sent.
            ConnectionFailed: The hub is closed.

        Example:
            >>> with connect("simulator") as hub:
            ...     hub.command("GetBalances").subject
            'account.balances.snapshot'
        """
        return self._wait(self.aio.command(method, *args, client_id=client_id, timeout=timeout))

    def invoke(self, method: str, *args: Any, timeout: float | None = None) -> Any:
        """Invoke a hub method and wait for its completion: the bare SignalR call.

        Args:
            method: The hub method.
            args: Exactly its arguments, the ClientId among them.
            timeout: Seconds to wait for the completion; None for the hub's own.

        Returns:
            The completion's result; Hercle's methods return None and answer by an event.

        Raises:
            InvalidRequest: An argument cannot be sent, or it is a creation above ``max_btc`` of `connect`.
            CommandRejected: The hub refused, with its words.
            HubTimeout: No completion of a documented query or subscription in time.
            OutcomeUnknown: No completion of any other method, which may have changed something.
            JournalError: The journal could not be written, which holds any other method; nothing was sent.
            ConnectionFailed: The hub is closed.

        Example:
            >>> with connect("simulator") as hub:
            ...     hub.invoke("GetBalances", "balances-1")
            ...     hub.wait_for("account.*", since=0).subject
            'account.balances.snapshot'
        """
        return self._wait(self.aio.invoke(method, *args, timeout=timeout))

    def wait_for(
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

        The first that came after the call began, or from row ``since`` on. A lost connection does not end
        the wait.

        Args:
            subject: A pattern such as ``execution.*``, matched with case; None for any.
            client_id: The ClientId it carries; None for any.
            target: The hub's client method, in any case of letters; None for any.
            where: A test of your own, called on the hub's thread: it must not block.
            since: A ``seq`` to begin at instead of now.
            timeout: Seconds to wait; None for the hub's own.

        Raises:
            HubTimeout: None came in time.
            ConnectionFailed: The hub is closed.

        Example:
            >>> with connect("simulator") as hub:
            ...     event = {"subject": "desk.note", "data": {"text": "Hello"}}
            ...     hub.simulator.push("executionEvents", event)
            ...     hub.wait_for("desk.*", since=0).data["text"]
            'Hello'
        """
        begin = self.log.next_seq if since is None else since
        return self._wait(
            self.aio.wait_for(
                subject, client_id=client_id, target=target, where=where, since=begin, timeout=timeout
            )
        )

    def prices(
        self, pair: str, size: int | float | Decimal = 1, *, timeout: float | None = None
    ) -> Subscription:
        """Subscribe to the prices of a pair.

        Returns once the hub's completion came; the prices are events in `events` and in the subscription's
        own frame. The hub keeps one feed a pair (assumed): the same pair and size again returns the
        subscription there is. After a lost connection it is made again. It keeps the hub alive until it is
        cancelled.

        Args:
            pair: Such as ``BTCUSDT``.
            size: What the prices are for.
            timeout: Seconds to wait for the completion; None for the hub's own.

        Raises:
            InvalidRequest: The pair is subscribed with another size, or an argument is of no use.
            CommandRejected: The hub refused, with its words.
            HubTimeout: No completion in time.
            ConnectionFailed: The hub is closed.

        Example:
            >>> with connect("simulator") as hub, hub.prices("BTCUSDT") as feed:
            ...     price = hub.wait_for("execution.feeds.*", since=0)
            ...     feed.latest.data["pair"]
            'BTCUSDT'
        """
        return self._wait(self.aio.prices(pair, size, timeout=timeout))

    @with_helpful_keywords
    def form(
        self,
        *,
        amount_btc: Any = None,
        amount_sat: int | None = None,
        memo: str | None = None,
        expiry_hours: int | None = 24,
        client_id: str | None = None,
        confirm_above_btc: Any = "0.1",
        plain: bool = False,
    ) -> InvoiceForm:
        """Show a form that creates invoices with this hub.

        It keeps the hub alive until its `close`. One press creates one invoice, however often it is pressed.

        Args:
            amount_btc: What the amount field holds at first, in BTC.
            amount_sat: The same in satoshis.
            memo: What the memo field holds at first.
            expiry_hours: What the expiry field holds at first; None for the hub's default.
            client_id: What the field of the ClientId holds at first; None for one that is made.
            confirm_above_btc: Larger amounts are asked about before they are sent, 0 for all; on production
                all are.
            plain: Use ipywidgets alone, for notebooks that cannot load anywidget's front end.

        Raises:
            InvalidRequest: A default breaks a rule, or the amount is above ``max_btc`` of `connect`.

        Example:
            >>> hub = connect("simulator")
            >>> form = hub.form(amount_btc="0.0005", memo="Coffee for the team")
            >>> form.invoice is None  # until somebody presses the button
            True
            >>> form.close()
            >>> hub.close()
        """
        from hercle_nb.widgets._draft import Draft
        from hercle_nb.widgets.form import InvoiceForm

        most = self._core.creating.max_msat(client_id)
        draft = Draft.with_defaults(amount_btc, amount_sat, memo, expiry_hours, client_id, most)
        return InvoiceForm(self, draft, confirm_above_btc=confirm_above_btc, plain=plain)

    @with_helpful_keywords
    def inspector(self, *, plain: bool = False) -> InvoiceInspector:
        """Show the invoices created here and known to the hub, and everything about any of them.

        It keeps the hub alive until its `close`.

        Args:
            plain: Use ipywidgets alone, for notebooks that cannot load anywidget's front end.
        """
        from hercle_nb.widgets.inspector import InvoiceInspector

        return InvoiceInspector(self, plain=plain)

    @with_helpful_keywords
    def monitor(self, *, plain: bool = False) -> EventMonitor:
        """Show the hub's events as they arrive, and the state of the connection.

        It keeps the hub alive until its `close`.

        Args:
            plain: Use ipywidgets alone, for notebooks that cannot load anywidget's front end.
        """
        from hercle_nb.widgets.monitor import EventMonitor

        return EventMonitor(self, plain=plain)

    def close(self) -> None:
        """Say goodbye to the hub and end its thread; does nothing the second time."""
        self._portal.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _wait(self, verb: Coroutine[Any, Any, T]) -> T:
        return self._portal.call(verb)

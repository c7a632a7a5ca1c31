"""A batch of creations: its rows, sent a few at a time, and what came of each."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hercle_nb.batch.again import (
    Made,
    difference,
    differing,
    digest,
    kept,
    moved,
    out_of_order,
    way_on,
)
from hercle_nb.batch.frame import Outcome, batch_frame
from hercle_nb.batch.rows import read_rows, refused, totals_text
from hercle_nb.client_ids import part_text
from hercle_nb.errors import HercleError, HubTimeout, InvalidRequest

if TYPE_CHECKING:
    import pandas as pd

    from hercle_nb._core import Core
    from hercle_nb.invoice_request import InvoiceRequest


_BEGINNING = 5.0  # seconds, at least, for what precedes the first row
_REPEATED = (
    "Where the order of a repeated client_id has an invoice, another client_id makes a second one: "
    "hub.invoice(client_id) shows the first."
)


class Batch:
    """The rows of one batch and what came of them.

    Args:
        core: The hub.
        rows: What `batch.rows.read_rows` takes.
        batch_id: What the ClientIds are made from; None makes one and prints it.
        key: The column to make them from, instead of the rows' numbers.
        keeps: Rows that differ from what their ids were used for are kept as they were.
        again: Rows that were sent before without a batch_id are sent again.

    Raises:
        InvalidRequest: Some rows cannot be sent; all of these are named.

    Attributes:
        finished: How many rows are done with, well or not.
        total: How many there are.
        made: What tells it from others.
    """

    def __init__(
        self, core: Core, rows: Any, batch_id: str | None, key: str | None, *, keeps: bool, again: bool
    ) -> None:
        name = str(uuid.uuid4()) if batch_id is None else batch_id
        self._rows = read_rows(rows, name, key, repeated=_REPEATED)
        self._core = core
        self._keeps, self._again = keeps, again
        self._errors: dict[str, str] = {}  # by ClientId
        self._kept: dict[str, str] = {}  # likewise: what there is to say of rows that differ and are kept
        self._sent_with = ""  # the fingerprint of the key
        self.finished = 0
        self.total = len(self._rows.requests)
        self.made = Made(
            part_text(self._rows.batch_id),
            batch_id is not None,
            datetime.now(UTC),
            digest(self._rows.unnamed),
        )
        for line in self._rows.lacking:
            print(line)

    @property
    def batch_id(self) -> str:
        """What its ClientIds are made from."""
        return self._rows.batch_id

    async def check(self) -> str:
        """Look whether the rows can be sent, or were sent before; on the hub's thread.

        Returns:
            Why rows without a batch_id would be refused: a batch asked for the same before; else empty.

        Raises:
            InvalidRequest: Some ClientIds were used for something else, or some amounts are above the hub's
                limit; all of these rows are named, and nothing was sent.
            JournalError: The journal cannot be read.
        """
        creating = self._core.creating
        self._core.supervisor.check()
        await self._core.memory.look()
        await self._core.memory.recall()
        requests = [creating.as_known(request) for request in self._rows.requests]
        self._rows = replace(self._rows, requests=requests)
        problems: dict[int, str] = {}
        differ: dict[int, str] = {}
        new: list[str] = []
        was: dict[int, InvoiceRequest] = {}  # what was sent for rows that differ
        asks: dict[int, InvoiceRequest] = {}  # what they ask now, and what new rows ask
        self._kept = {}
        for number, request in enumerate(requests):
            known = self._core.book.creation(request.client_id)
            if known is not None and known.request != request:
                differ[number] = difference(request, known)
                self._kept[request.client_id] = kept(request, known)
                was |= {} if known.request is None else {number: known.request}
                asks[number] = request
                continue
            try:
                creating.check(request)
            except InvalidRequest as error:
                problems[number] = str(error)
            else:
                if known is None:
                    new.append(self._name(number))
                    asks[number] = request
        if not self._rows.keyed and (places := moved(asks, was)):
            raise InvalidRequest(out_of_order(places))
        differ = {} if self._keeps else differ
        if problems:
            raise refused(problems | differ, self.total, way_on(new) if differ else "")
        if differ:
            raise InvalidRequest(differing(differ, self.total, self._name, way_on(new)))
        return await self._made_before()

    async def _made_before(self) -> str:
        """Why rows without a batch_id would be sent a second time; empty if they would not."""
        book = self._core.book
        if self.made.named or self._again or all(book.creation(one.client_id) for one in self._rows.unnamed):
            return ""
        before = await self._core.memory.unnamed_batch(self.made.digest)
        return "" if before is None else before.as_refusal(self.total, keyed=self._rows.keyed)

    def _name(self, number: int) -> str:
        """A row as a person finds it."""
        key = f" (order {self._rows.keys[number]!r})" if self._rows.keyed else ""
        return f"row {number}{key}"

    async def run(self, max_in_flight: int, timeout: float) -> None:
        """Create what is not created so far; on the hub's thread.

        Args:
            max_in_flight: How many rows are under way at the same time.
            timeout: Seconds for each.

        Raises:
            HercleError: It was cancelled; the text says how far it came.
        """
        await self._begin(timeout)
        if not self.made.named:
            print(f"batch_id={self._rows.batch_id!r} (the same again resumes this batch)")
        self._sent_with = self._core.memory.account.fingerprint
        self._core.batches.pop(self.batch_id, None)
        self._core.batches[self.batch_id] = self
        waiting = iter(zip(self._rows.requests, self._rows.keys, strict=True))

        async def work() -> None:
            task = asyncio.current_task()
            for request, row_key in waiting:
                await self._create(request, row_key, timeout)
                if task is not None and task.cancelling():  # the call may have answered it with an error
                    return

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(max_in_flight, self.total)):
                    group.create_task(work())
        except asyncio.CancelledError:
            raise HercleError(self._how_far()) from None  # reaches the user as a note on the interrupt

    async def _begin(self, timeout: float) -> None:
        """Look whether it can be sent, and keep that it is begun.

        Raises:
            InvalidRequest: As `check`; or it would be sent a second time.
            HubTimeout: The journal did not take it in time; nothing was sent.
        """
        memory = self._core.memory
        patience = max(timeout, _BEGINNING)  # that of a row is none for thousands of them
        try:
            async with asyncio.timeout(patience):
                if before := await self.check():
                    raise InvalidRequest(before)
                await memory.note_batch(self.made)
        except TimeoutError as error:
            if isinstance(error, HercleError):
                raise
            why = memory.trouble or "the journal did not take it."
            raise HubTimeout(
                f"The batch was not begun in {patience:g} s, and nothing was sent: {why}"
            ) from None
        except asyncio.CancelledError:
            raise HercleError("Nothing was sent.") from None

    def frame(self) -> pd.DataFrame:
        """The rows with what is known of each now; see `batch.frame.batch_frame`."""
        outcomes = [self._outcome(request) for request in self._rows.requests]
        return batch_frame(self._rows, outcomes, self._core.environment)

    def shown(self, before: str) -> pd.DataFrame:
        """As `frame`, after printing what was read as what, and what the rows add up to: for a dry run.

        Args:
            before: What `check` said.
        """
        rows = self._rows
        said = [totals_text(rows), rows.columns, *rows.beside, *filter(None, [before])]
        print(*said, "nothing was sent", sep="\n")
        return self.frame()

    async def _create(self, request: InvoiceRequest, row_key: str, timeout: float) -> None:
        self._errors.pop(request.client_id, None)
        try:
            if self._core.memory.account.is_foreign_key(self._sent_with):
                raise InvalidRequest("It was not sent: the API key is another account's now.")
            if request.client_id not in self._kept:
                await self._core.creating.create(request, timeout, self.made.batch_id, row_key)
        except HercleError as error:  # a row that fails never stops the others
            self._errors[request.client_id] = str(error)
        self.finished += 1

    def _outcome(self, request: InvoiceRequest) -> Outcome:
        call = self._core.book.creation(request.client_id)
        error = self._errors.get(request.client_id)
        if call is None or (call.sent_at is None and call.invoice is None):
            return Outcome(None, error)
        notes = [self._kept.get(request.client_id, ""), self._core.memory.account.doubt(call)]
        note = "; ".join(filter(None, notes)) or None
        if call.invoice is not None:
            return Outcome(call.invoice, None, note)
        return Outcome(call, error if call.rejection is None else str(call.rejection), note)

    def _how_far(self) -> str:
        outcomes = [self._outcome(request).record for request in self._rows.requests]
        made = sum(getattr(record, "payment_request", None) is not None for record in outcomes)
        left = sum(record is None for record in outcomes)
        return (
            f"{made:,} of {self.total:,} invoices are created, {left:,} were not sent, "
            f"{self.total - made - left:,} are unknown or refused; hub.batch() shows them, and "
            f"create_invoices(…, batch_id={self.batch_id!r}) with the same rows goes on."
        )

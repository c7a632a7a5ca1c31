"""A batch of creations: its rows, sent a few at a time, and what came of each."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

from hercle_nb.batch.frame import Outcome, batch_frame
from hercle_nb.batch.rows import read_rows, refused, totals_text
from hercle_nb.errors import HercleError, InvalidRequest

if TYPE_CHECKING:
    import pandas as pd

    from hercle_nb._core import Core
    from hercle_nb.invoice_request import InvoiceRequest


class Batch:
    """The rows of one batch and what came of them.

    Args:
        core: The hub.
        rows: What `batch.rows.read_rows` takes.
        batch_id: What the ClientIds are made from; None makes one and prints it.
        key: The column to make them from, instead of the rows' numbers.

    Raises:
        InvalidRequest: Some rows cannot be sent; all of these are named.

    Attributes:
        finished: How many rows are done with, well or not.
        total: How many there are.
    """

    def __init__(self, core: Core, rows: Any, batch_id: str | None, key: str | None) -> None:
        self._rows = read_rows(rows, str(uuid.uuid4()) if batch_id is None else batch_id, key)
        if batch_id is None:
            print(f"batch_id={self._rows.batch_id!r} (the same again resumes this batch)")
        self._core = core
        self._errors: dict[str, str] = {}  # by ClientId
        self.finished = 0
        self.total = len(self._rows.requests)

    @property
    def batch_id(self) -> str:
        """What its ClientIds are made from."""
        return self._rows.batch_id

    async def check(self) -> None:
        """Look whether any ClientId was used for something else; on the hub's thread.

        Raises:
            InvalidRequest: Some were; all of these rows are named, and nothing was sent.
            JournalError: The journal cannot be read.
        """
        self._core.supervisor.check()
        await self._core.memory.look()
        await self._core.memory.recall()
        problems: dict[int, str] = {}
        for number, request in enumerate(self._rows.requests):
            try:
                self._core.creating.check(request)
            except InvalidRequest as error:
                problems[number] = str(error)
        if problems:
            raise refused(problems, self.total)

    async def run(self, max_in_flight: int, timeout: float) -> None:
        """Create what is not created so far; on the hub's thread.

        Args:
            max_in_flight: How many rows are under way at the same time.
            timeout: Seconds for each.

        Raises:
            HercleError: It was cancelled; the text says how far it came.
        """
        await self.check()
        self._core.batches.pop(self.batch_id, None)
        self._core.batches[self.batch_id] = self
        waiting = iter(self._rows.requests)

        async def work() -> None:
            task = asyncio.current_task()
            for request in waiting:
                await self._create(request, timeout)
                if task is not None and task.cancelling():  # the call may have answered it with an error
                    return

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(max_in_flight, self.total)):
                    group.create_task(work())
        except asyncio.CancelledError:
            raise HercleError(self._how_far()) from None  # reaches the user as a note on the interrupt

    def frame(self) -> pd.DataFrame:
        """The rows with what is known of each now; see `batch.frame.batch_frame`."""
        outcomes = [self._outcome(request) for request in self._rows.requests]
        return batch_frame(self._rows, outcomes, self._core.environment)

    def shown(self) -> pd.DataFrame:
        """As `frame`, after printing what the rows add up to: for a dry run."""
        print(f"{totals_text(self._rows)}; nothing was sent")
        return self.frame()

    async def _create(self, request: InvoiceRequest, timeout: float) -> None:
        self._errors.pop(request.client_id, None)
        try:
            await self._core.creating.create(request, timeout)
        except HercleError as error:  # a row that fails never stops the others
            self._errors[request.client_id] = str(error)
        self.finished += 1

    def _outcome(self, request: InvoiceRequest) -> Outcome:
        call = self._core.book.creations.get(request.client_id)
        error = self._errors.get(request.client_id)
        if call is None or (call.sent_at is None and call.invoice is None):
            return Outcome(None, error)
        if call.invoice is not None:
            return Outcome(call.invoice)
        return Outcome(call, error if call.rejection is None else str(call.rejection))

    def _how_far(self) -> str:
        outcomes = [self._outcome(request).record for request in self._rows.requests]
        made = sum(getattr(record, "payment_request", None) is not None for record in outcomes)
        left = sum(record is None for record in outcomes)
        return (
            f"{made:,} of {self.total:,} invoices are created, {left:,} were not sent, "
            f"{self.total - made - left:,} are unknown or refused; hub.batch() shows them, and "
            f"create_invoices(…, batch_id={self.batch_id!r}) with the same rows goes on."
        )

"""A script that creates invoices until it is killed: python -m tests.killed_child URL KEY JOURNAL NUMBER.

It says on its standard output how far it is, a line each: ``connecting``, ``connected``, ``step …`` before
each step, and after it ``made …`` for every invoice that its cell has got. The same number makes the same
invoices.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

import hercle_nb as hercle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hercle_nb import Hub

SINGLES, ROWS = 2, 20  # creations one after the other, then the rows of a batch, then again
PER_NUMBER = 100_000  # satoshis: no two amounts of a run are the same
SLOW = ("hercle_nb.aio", "hercle_nb.journal", "pandas", "sqlalchemy.dialects.postgresql")
MATCHED = "matched by the hub's list"


@dataclass(frozen=True)
class Step:
    """One cell: an invoice alone, or a batch.

    Attributes:
        amounts: In satoshis; one where `batch` is false.
        batch: Whether they are created in bulk.
    """

    amounts: range
    batch: bool

    @property
    def name(self) -> str:
        """The batch's id, or the ClientId."""
        return f"{'batch' if self.batch else 'single'}-{self.amounts[0]}"


@dataclass(frozen=True)
class Made:
    """What a cell got to see of one creation.

    Attributes:
        amount: In satoshis.
        client_id: Its ClientId.
        status: As in `Hub.invoices`.
        payment_hash: Empty where there is no invoice.
        matched: Whether the hub's list had to tell, for the answer was lost.
    """

    amount: int
    client_id: str
    status: str
    payment_hash: str
    matched: bool


def steps(number: int) -> Iterator[Step]:
    """The cells of a script, without end."""
    amount = 1_000 + number * PER_NUMBER
    while True:
        for _ in range(SINGLES):
            yield Step(range(amount, amount + 1), batch=False)
            amount += 1
        yield Step(range(amount, amount + ROWS), batch=True)
        amount += ROWS


def memo(amount: int) -> str:
    """What an invoice is for, no two alike."""
    return f"killed {amount}"


def run(hub: Hub, step: Step) -> list[Made]:
    """Run a cell, for the first time or again."""
    if not step.batch:
        (amount,) = step.amounts
        try:
            invoice = hub.create_invoice(amount_sat=amount, memo=memo(amount), client_id=step.name)
        except hercle.OutcomeUnknown as unknown:
            return [Made(amount, unknown.client_id or "", "unknown", "", matched=False)]
        return [_made(amount, step.name, invoice.status, invoice.payment_hash, invoice.warnings)]
    rows = [{"amount_sat": amount, "memo": memo(amount)} for amount in step.amounts]
    frame = hub.create_invoices(rows, batch_id=step.name, max_in_flight=16, progress=False)
    made = []
    for amount, row in zip(step.amounts, frame.itertuples(), strict=True):
        known = isinstance(row.payment_hash, str)
        warnings = hub.invoice(row.client_id).warnings if known else ()
        payment_hash = row.payment_hash if known else ""
        made.append(_made(amount, row.client_id, row.status, payment_hash, warnings))
    return made


def _made(amount: int, client_id: str, status: str, payment_hash: str, warnings: tuple[str, ...]) -> Made:
    return Made(amount, client_id, status, payment_hash, matched=MATCHED in warnings)


def say(*words: object) -> None:
    """Print a line at once: what was said before the end counts."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Create until killed."""
    url, key, journal, number = sys.argv[1:]
    for name in SLOW:  # a kill is to fall into the connecting, not into its imports
        import_module(name)
    say("connecting")
    with hercle.connect(url=url, api_key=key, journal=journal, timeout=20) as hub:
        say("connected")
        for step in steps(int(number)):
            say("step", step.name)
            for made in run(hub, step):
                if made.payment_hash:
                    say("made", made.amount, made.payment_hash, made.matched)


if __name__ == "__main__":
    main()

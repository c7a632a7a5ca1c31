"""Rows of the journal: what goes in comes out, and which kernel waits for an answer."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hercle_nb.calls import Call
from hercle_nb.commands import CREATE
from hercle_nb.errors import CommandRejected
from hercle_nb.journal.rows import (
    DISMISSED,
    HOST,
    INVOICE,
    KERNELS,
    NOTED,
    PROCESS,
    REJECTED,
    Sender,
    call_of,
    call_of_invoice,
    intent_row,
    invoice_of,
    invoice_row,
    refusal_text,
    storable,
)
from tests.answers import NOW, PREIMAGE, answer, ask


def back(row: dict[str, Any]) -> Any:
    """An invoice as it is read again."""
    return invoice_of([row[name] for name in INVOICE])


def noted(call: Call, **changes: Any) -> Any:
    """A command's row as the database gives it."""
    call.intent = "mark"
    more = {"environment": "sandbox", "key": "k", "hub_time": 1_000.0, "hub_url": "u", "kernel": "a"}
    return SimpleNamespace(**intent_row(call) | more | changes)


def creation(**asked: Any) -> Call:
    """A creation that is to be sent."""
    request = ask(**asked)
    return Call(CREATE, request.client_id, request, request.arguments, waits_until=1_030.0)


def test_an_invoice_comes_back() -> None:
    """Every field of an invoice is the same after the journal."""
    invoice = replace(
        answer(),
        preimage=PREIMAGE.hex(),
        hub_status="CLOSED",
        updated_at=NOW,
        extra={"fee": Decimal("0.10"), "big": 10**30, "list": [1, None, "x"]},
        warnings=("one", "two"),
        alarm=True,
    )
    assert back(invoice_row(invoice)) == invoice
    bare = replace(answer(), client_id=None, expiry_hours=None, http_status=None, message=None)
    assert back(invoice_row(bare)) == bare


@given(st.text(max_size=50))
def test_whatever_the_hub_writes(text: str) -> None:
    """No text of the hub's keeps an answer out of a database; what none of them takes is U+FFFD."""
    hostile = text + "\0\ud800"
    odd = replace(
        answer(), id=hostile, memo=hostile, message=hostile, warnings=(hostile,), extra={"x": hostile}
    )
    row = invoice_row(odd)
    for value in row.values():
        if isinstance(value, str):
            value.encode()
            assert "\0" not in value
    assert back(row).memo == storable(hostile)
    assert storable(text.replace("\0", "")) == text.replace("\0", "")


def test_numbers_too_large_for_a_database() -> None:
    """A number beyond 64 bits is missing rather than wrong."""
    assert back(invoice_row(replace(answer(), http_status=1 << 63))).http_status is None
    assert back(invoice_row(replace(answer(), http_status=(1 << 63) - 1))).http_status == (1 << 63) - 1


@pytest.mark.parametrize("asked", [{}, {"memo": None}, {"memo": ""}, {"expiry_hours": None}])
def test_a_command_comes_back(asked: dict[str, Any]) -> None:
    """What was asked for is exactly what is remembered; None, an empty memo and the default expiry differ."""
    call = creation(**asked)
    again = call_of(noted(call))
    assert again.request == call.request
    assert again.arguments == call.arguments
    assert (again.remembered, again.unknown, again.key, again.intent) == (True, True, "k", "mark")
    assert (again.hub_time, again.lost_at) == (1_000.0, 1_030.0)


def test_nothing_made_later_is_its_invoice() -> None:
    """Where nobody saw the connection lost, what the hub made after the sender gave up is not looked at."""
    assert call_of(noted(creation(), lost_at=1_004.0)).lost_at == 1_004.0
    assert call_of(noted(creation(), waits_until=0.0)).lost_at == 1_030.0


def test_how_it_ended() -> None:
    """A refusal comes back with its words, and a decision as one."""
    refusal = CommandRejected("text", message="no \ud800", subject="s", http_status=400)
    rejected = call_of(noted(creation(), state=REJECTED, refusal=refusal_text(refusal)))
    assert rejected.settled
    assert rejected.rejection is not None
    told = (str(rejected.rejection), rejected.rejection.message, rejected.rejection.http_status)
    assert told == ("text", "no \ufffd", 400)
    dismissed = call_of(noted(creation(), state=DISMISSED))
    assert (dismissed.dismissed, dismissed.settled, dismissed.sender) == (True, False, None)
    made = call_of_invoice(answer())
    assert (made.settled, made.request) == (True, ask())


def test_a_bare_invocation_has_its_mark() -> None:
    """One without a ClientId of its own is known by its mark, and may be made twice."""
    call = Call("Transfer", "first", arguments=["first", 5], bare=True, unique=False)
    row = noted(call)
    assert row.client_id is None
    assert call_of(row).client_id == "mark"


def sender(
    pid: int, seconds: float = 30.0, host: str = HOST, process: str = "another", kernel: str = "a"
) -> Sender:
    """Who sent a command and gives up in so many seconds."""
    return Sender(host, pid, process, kernel, 1.0, 1.0, time.monotonic() + seconds)


def test_who_waits() -> None:
    """A kernel waits until it gives up, as long as there is a process of its number that may be it."""
    KERNELS.add("open here")
    assert sender(os.getpid(), process=PROCESS, kernel="open here").waits
    KERNELS.discard("open here")
    assert not sender(os.getpid(), process=PROCESS, kernel="open here").waits  # its hub was closed
    assert not sender(os.getpid()).waits  # a container begun anew: the same number, another process
    assert sender(os.getppid()).waits
    assert not sender(os.getppid(), seconds=-1).waits
    assert not Sender(HOST, os.getppid(), "another", "a", 1.0, 1.0).waits
    assert sender(1 << 22, host="another computer").waits


def test_who_has_ended() -> None:
    """A kernel that was killed does not wait, also while nobody has asked for its status."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert sender(process.pid).waits
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not sender(process.pid).waits
    assert not sender(process.pid).waits


def test_a_question_shows_once_nobody_waits() -> None:
    """A command of another kernel becomes a question by itself when that kernel gives up."""
    call = call_of(noted(creation(), pid=os.getppid()))
    assert call.sender is not None
    call.sender.until = time.monotonic() + 0.2
    assert (call.elsewhere, call.unknown) == (True, False)
    time.sleep(0.25)
    assert (call.elsewhere, call.unknown) == (False, True)
    assert call_of(noted(creation(), state=NOTED)).unknown

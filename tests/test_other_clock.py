"""A hub with another clock than this computer's: what is open, expired or left follows the hub's."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

import hercle_nb as hercle
from hercle_nb import _core, states
from hercle_nb._signalr import supervisor
from hercle_nb.widgets import _interface
from hercle_nb.widgets.card import InvoiceCard
from tests.answers import pay_to
from tests.fast import fast_hub
from tests.scripted import ScriptedHub, scripted_hub
from tests.servers import KEY, HubProcess
from tests.test_progress import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR = 3_600
BEHIND_US = "ahead of the hub's; what is shown here follows the hub's"
AHEAD_OF_US = "behind the hub's; what is shown here follows the hub's"
FAKETIME = shutil.which("faketime")
KERNEL = """
import pickle, sys, time
import hercle_nb as hercle

with hercle.connect(url=sys.argv[1], api_key=sys.argv[2], journal=False, timeout=20) as hub:
    invoice = hub.create_invoice(amount_sat=5, memo="tea", expiry_hours=1)
    print(round(time.time()), invoice.status, invoice.qr().designator, *invoice.warnings)
    print(hub.refresh_invoices().loc[invoice.client_id, "status"], invoice._repr_html_().count('role="img"'))
    try:
        hub.wait_paid(invoice, timeout=1, poll=0.1, progress=False)
    except hercle.HubTimeout:
        print("still waiting")
    print(pickle.dumps(invoice).hex())
"""


@pytest.fixture
def scripted() -> Iterator[ScriptedHub]:
    """A hub whose clock a test sets before it connects."""
    with scripted_hub() as server:
        yield server


def set_clock(monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    """Set this computer's clock so many hours ahead, as far as a hub that is connected looks at it."""

    class Other(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime.now(UTC) + timedelta(hours=hours)

    class OtherTime:
        monotonic = staticmethod(time.monotonic)

        @staticmethod
        def time() -> float:
            return time.time() + hours * HOUR

    monkeypatch.setattr(_core, "datetime", Other)
    monkeypatch.setattr(states, "datetime", Other)
    monkeypatch.setattr(supervisor, "time", OtherTime)


def listed_for(scripted: ScriptedHub, left: float) -> None:
    """Let the hub's list have an invoice of an hour, of which so many seconds are left by the hub's clock."""
    text = pay_to(timestamp=int(scripted.time() + left) - HOUR, expiry=HOUR)
    scripted.invoices.append({"id": "inv_left", "status": "OPEN", "encodedPaymentRequest": text})


@pytest.mark.parametrize(
    ("hours", "status", "warning"),
    [
        (-2, "open", BEHIND_US),
        (2, "open", AHEAD_OF_US),
        (-25, "expired", "1 day 1 hour ahead of the hub's, which is too far"),
        (25, "open", "behind the hub's, which is too far"),
        (None, "open", ""),
        (0, "open", ""),
    ],
)
def test_a_fresh_invoice(scripted: ScriptedHub, hours: int | None, status: str, warning: str) -> None:
    """A fresh invoice of an hour is open by the hub's clock, unless that is more than a day off."""
    scripted.clock_ahead = None if hours is None else hours * HOUR
    with fast_hub(scripted.url) as hub:
        invoice = hub.create_invoice(amount_sat=5, memo="tea", expiry_hours=1)
        assert abs(invoice.clock_ahead - (hours or 0) * HOUR) < 30
        assert (invoice.status, invoice.alarm) == (status, False)
        assert len(invoice.warnings) == bool(warning)
        assert warning in "".join(invoice.warnings)
        assert hub.invoices.loc[invoice.client_id, "status"] == status
        copied = pickle.loads(pickle.dumps(invoice))  # noqa: S301  # our own
    assert (copied.clock_ahead, copied.status) == (invoice.clock_ahead, status)
    if status == "open":
        assert invoice.qr().designator
    else:
        with pytest.raises(hercle.InvalidRequest, match=r"the invoice is expired; this computer's clock"):
            invoice.qr()


@pytest.mark.parametrize("hours", [-2, 2, None])
def test_what_is_left(scripted: ScriptedHub, hours: int | None) -> None:
    """The line of a wait counts to the expiry by the hub's clock."""
    scripted.clock_ahead = None if hours is None else hours * HOUR
    with Terminal() as terminal, fast_hub(scripted.url) as hub:
        invoice = hub.create_invoice(amount_sat=5, memo="tea", expiry_hours=1)
        with hub._wait_line(invoice, enabled=True) as line:
            line.update("connected")
            [shown] = terminal.screen()
    assert shown.startswith("waiting for payment of 0.00000005 BTC · 0:00:00 elapsed · ")
    assert shown.partition("elapsed · ")[2][:6] in ("1:00:0", "0:59:5", "0:59:4")


@pytest.mark.parametrize("hours", [-2, 2])
def test_waiting(scripted: ScriptedHub, hours: int) -> None:
    """A wait goes on while the invoice is open by the hub's clock, and ends once it is late by that."""
    scripted.clock_ahead = hours * HOUR
    with fast_hub(scripted.url) as hub:
        invoice = hub.create_invoice(amount_sat=5, memo="tea", expiry_hours=1)
        hub.refresh_invoices()
        with pytest.raises(hercle.HubTimeout):
            hub.wait_paid(invoice, timeout=0.5, poll=0.1, progress=False)
        listed_for(scripted, left=-30)
        with pytest.raises(hercle.NotPaid, match=r"inv_left expired at"):
            hub.wait_paid("inv_left", timeout=20, poll=0.1, progress=False)


@pytest.mark.parametrize(("hours", "ends"), [(-25, hercle.NotPaid), (25, hercle.HubTimeout)])
def test_waiting_by_this_computers_clock(
    scripted: ScriptedHub, hours: int, ends: type[hercle.HercleError]
) -> None:
    """A hub that is more than a day off is not followed by a wait either."""
    scripted.clock_ahead = hours * HOUR
    with fast_hub(scripted.url) as hub:
        invoice = hub.create_invoice(amount_sat=5, memo="tea", expiry_hours=1)
        with pytest.raises(ends):
            hub.wait_paid(invoice, timeout=1, poll=0.1, progress=False)


@pytest.mark.parametrize("hours", [-2, 2])
def test_the_clock_is_set_while_connected(
    scripted: ScriptedHub, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """A clock that is set after the connection was made changes nothing for what is made then."""
    with fast_hub(scripted.url) as hub:
        hub.refresh_invoices()
        set_clock(monkeypatch, hours)
        assert abs(hub._core.supervisor.clock_ahead + hours * HOUR) < 30
        invoice = hub.create_invoice(amount_sat=5, memo="tea", expiry_hours=1)
        assert abs(invoice.clock_ahead + hours * HOUR) < 30
        assert invoice.status == "open"
        assert invoice.qr().designator
        with Terminal() as terminal, hub._wait_line(invoice, enabled=True) as line:
            line.update("connected")
            [shown] = terminal.screen()
        assert shown.partition("elapsed · ")[2][:6] in ("1:00:0", "0:59:5", "0:59:4")
        with pytest.raises(hercle.HubTimeout):
            hub.wait_paid(invoice, timeout=0.5, poll=0.1, progress=False)
        hub.refresh_invoices()
        asked_at = hub._core.lists.asked_at
        assert asked_at is not None
        assert abs(asked_at - datetime.now(UTC)) < timedelta(seconds=30)


@pytest.mark.parametrize("hours", [-2, 2])
def test_no_clock_to_follow_is_set(
    scripted: ScriptedHub, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Where the hub does not tell the time, this computer's counts, also once it is set."""
    scripted.clock_ahead = None
    with fast_hub(scripted.url) as hub:
        set_clock(monkeypatch, hours)
        assert hub._core.supervisor.clock_ahead == 0.0


def test_a_live_card_follows(scripted: ScriptedHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A live card tells status and time by the hub's clock, also once this computer's is set."""
    scripted.clock_ahead = -2 * HOUR
    with fast_hub(scripted.url) as hub:
        card = InvoiceCard(hub, hub.create_invoice(amount_sat=5, memo="tea", expiry_hours=1))
        for hours in (0, 3):
            set_clock(monkeypatch, hours)
            ticked = threading.Event()
            _interface.post(card._tick)
            _interface.post(ticked.set)
            assert ticked.wait(10)
            assert card._live is not None
            facts = card._live.get_state("facts")["facts"]
            assert facts["status"] == "open"
            assert 'role="img"' in card.last_state()
            assert 3_570 < (facts["expires"] - facts["now"]) / 1_000 <= 3_601
        card.close()


def test_the_list_is_asked_for_though_the_clock_is_set_back(
    server: HubProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that is set back while somebody waits does not keep the next list, and the payment, away."""
    with hercle.connect(url=server.url, api_key=KEY, journal=False, timeout=20) as hub:
        invoice = hub.create_invoice(amount_sat=5, memo="tea")
        with monkeypatch.context() as ahead:
            set_clock(ahead, 2)
            hub.refresh_invoices()
        server.post(f"pay/{invoice.id}")
        assert hub.wait_paid(invoice, timeout=20, poll=0.1, progress=False).paid


@pytest.mark.skipif(FAKETIME is None, reason="faketime is not here: apt-get install faketime")
@pytest.mark.parametrize("hours", [-2, 2])
def test_a_computer_with_another_clock(simulator: HubProcess, hours: int) -> None:
    """On a computer that is two hours off a fresh invoice is open, has a QR code, and is waited for."""
    done = subprocess.run(
        [str(FAKETIME), "-f", f"{hours:+}h", sys.executable, "-c", KERNEL, simulator.url, KEY],
        env={"FAKETIME_DONT_FAKE_MONOTONIC": "1", "PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    made, listed, waited, pickled = done.stdout.splitlines()
    now, status, _, said = made.split(" ", 3)
    assert abs(int(now) - time.time() - hours * HOUR) < 60  # else it was not the clock that was tried
    assert status == "open"
    assert (BEHIND_US if hours > 0 else AHEAD_OF_US) in said
    assert (listed, waited) == ("open 1", "still waiting")
    invoice = pickle.loads(bytes.fromhex(pickled))  # noqa: S301  # our own
    assert abs(invoice.clock_ahead + hours * HOUR) < 30

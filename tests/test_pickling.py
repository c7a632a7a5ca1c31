"""What leaves a process: every error and value, whole; what lives in one says so instead."""

from __future__ import annotations

import copy
import inspect
import json
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import hercle_nb as hercle
from hercle_nb import errors
from hercle_nb.bolt11 import RouteHop
from hercle_nb.config import ApiKey, Secret
from hercle_nb.invoice_frame import invoices_frame
from hercle_nb.log import EventLog
from hercle_nb.simulator import Faults
from tests.pool_workers import SENT, bring_back_a_hub, created, fail, refused, unanswered
from tests.rows import HOSTILE
from tests.servers import KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hercle_nb.errors import HercleError
    from tests.servers import HubProcess

VECTORS = json.loads((Path(__file__).parent / "bolt11_vectors.json").read_text(encoding="utf-8"))["vectors"]
READABLE = [vector["payment_request"] for vector in VECTORS if "expected" in vector]
ERRORS = {
    kind for kind in vars(errors).values() if inspect.isclass(kind) and kind.__module__ == errors.__name__
}


def through_pickle(protocol: int) -> Callable[[Any], Any]:
    """Pickled with this protocol and read again."""
    return lambda value: pickle.loads(pickle.dumps(value, protocol))  # noqa: S301  # of our own making


ROUTES = {f"protocol {number}": through_pickle(number) for number in range(pickle.HIGHEST_PROTOCOL + 1)}
ROUTES |= {"copy": copy.copy, "deepcopy": copy.deepcopy}


@pytest.fixture(params=ROUTES)
def taken(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """A way for a value to be another one that says the same."""
    return ROUTES[request.param]


@pytest.fixture
def simulated() -> Iterator[hercle.Hub]:
    """A hub of its own, connected to the simulator."""
    with hercle.connect("simulator") as hub:
        yield hub


def values(hub: hercle.Hub) -> list[Any]:
    """One of everything that a user gets from a hub, or makes, and that says something by itself."""
    invoice = hub.create_invoice(0.001, "Tea", 24, client_id="tea")
    hub.simulator.pay(invoice)
    hub.refresh_invoices()
    log = EventLog()
    log.extend([text.encode(errors="surrogatepass") for text in HOSTILE], 1)
    read = [hercle.decode_payment_request(text) for text in READABLE]
    known = hub.invoice("tea")
    return [
        *(source.event(seq) for source in (hub.log, log) for seq in range(len(source))),
        *(invoice, known, *read, *(hop for request in read for hops in request.route_hints for hop in hops)),
        *(hercle.InvoiceRequest(0.001, "Tea", 24, "tea"), hercle.InvoiceRequest(amount_sat=1)),
        hercle.Resolution("tea", "adopted", known),
        hercle.Resolution("tea", "several", None, invoices_frame([known])),
        Faults(noReply=True, hubError="no"),
    ]


def living(hub: hercle.Hub, folder: Path) -> Iterator[Any]:
    """One of everything that lives in its process; what was made is taken away again."""
    yield from (hub, hub.aio, hub.log, hub.simulator, hub.create_invoice.__self__)
    with hub.prices("BTCUSDT") as feed:
        yield feed
    for handle in (hub.on_event(print), hub.on_paid(print), hub.log.record(folder)):
        yield handle
        handle.cancel()
    for face in (hub.form(), hub.form(plain=True), hub.inspector(), hub.monitor(), hercle.app()):
        yield face
        face.close()


def an_error(kind: type[HercleError]) -> HercleError:
    """An error of a kind with every attribute that it takes, and a note."""
    with hercle.connect("simulator") as hub:
        invoice = hub.create_invoice(0.001, "Tea", client_id="tea")
        event = hub.log.event(hub.log.next_seq - 1)
    answer = {"message": "no", "subject": "s", "http_status": 400, "event": event}
    more: dict[type[HercleError], dict[str, Any]] = {
        hercle.CommandRejected: answer,
        hercle.OutcomeUnknown: {"client_id": "tea", "method": "CreateLightningInvoice", "sent_at": SENT},
        hercle.PaymentRequestError: {"code": "too_long"},
        hercle.NotPaid: {"status": "expired", "invoice": invoice},
    }
    error = kind("what to do next", **more.get(kind, {}))
    error.add_note("ClientId tea")
    return error


def same(one: Any, other: Any) -> None:
    """Two values, or errors, say the same."""
    assert type(one) is type(other)
    assert one is not other
    assert repr(one) == repr(other)
    if isinstance(one, BaseException):
        assert (str(one), one.args, vars(one)) == (str(other), other.args, vars(other))
    elif is_dataclass(one):
        for field in fields(one):
            first, second = getattr(one, field.name), getattr(other, field.name)
            if isinstance(first, pd.DataFrame):
                pd.testing.assert_frame_equal(first, second)
            else:
                assert repr(first) == repr(second)  # NaN is not equal to itself
    else:
        pd.testing.assert_frame_equal(one, other)


def test_every_value_survives(simulated: hercle.Hub, taken: Callable[[Any], Any]) -> None:
    """Events, invoices, payment requests and all other values say the same afterwards, frames too."""
    for value in values(simulated):
        same(taken(value), value)
    for frame in (simulated.events, simulated.invoices, simulated.unresolved, simulated.log.gaps):
        same(taken(frame), frame)


@pytest.mark.parametrize("kind", sorted(ERRORS, key=lambda kind: kind.__name__))
def test_every_error_survives(kind: type[HercleError], taken: Callable[[Any], Any]) -> None:
    """An error keeps its class, text, attributes and notes."""
    error = an_error(kind)
    again = taken(error)
    same(again, error)
    assert again.__notes__ == ["ClientId tea"]
    for name in inspect.get_annotations(kind):
        assert getattr(again, name) == getattr(error, name) is not None


class Late(hercle.OutcomeUnknown):
    """A user's error that takes something else than its text."""

    def __init__(self, order: int) -> None:
        super().__init__(f"Order {order}", client_id="tea", method="M", sent_at=SENT)
        self.order = order


class NoDisk(hercle.JournalError):
    """A user's error over an OSError that takes something else than its text."""

    def __init__(self, *, order: int) -> None:
        super().__init__(28, f"Order {order}", "journal.db")
        self.order = order


class Both(hercle.InvalidRequest, UnicodeError):
    """A user's error that is two."""


@pytest.mark.parametrize("error", [Late(17), NoDisk(order=17), Both("a", "b")], ids=lambda error: repr(error))
def test_the_errors_of_users_survive(error: HercleError, taken: Callable[[Any], Any]) -> None:
    """A subclass survives whatever its ``__init__`` takes, and is made without calling it."""
    same(taken(error), error)


@pytest.mark.parametrize("name", ["AuthenticationError", "ConnectionFailed", "JournalError", "HubTimeout"])
def test_what_the_operating_system_said_survives(name: str, taken: Callable[[Any], Any]) -> None:
    """Those over OSError keep number, words and file."""
    error = getattr(hercle, name)(28, "No space left", "journal.db")
    again = taken(error)
    same(again, error)
    assert (again.errno, again.strerror, again.filename) == (28, "No space left", "journal.db")


def test_what_lives_in_a_process_refuses(
    simulated: hercle.Hub, tmp_path: Path, taken: Callable[[Any], Any]
) -> None:
    """A hub, a feed, a recorder, a face and a key say in a sentence why not and what to do instead."""
    for thing in [ApiKey("k", "a test"), Secret("k")]:
        refusal(taken, thing, "set the variable HERCLE_API_KEY where the worker runs.")
    for thing in living(simulated, tmp_path):
        refusal(taken, thing, r"\(")
        refusal(taken, [thing], r"\(") if taken is not copy.copy else None


def refusal(taken: Callable[[Any], Any], thing: Any, instead: str) -> None:
    """It is refused with what to do instead."""
    name = type(thing).__name__ if not isinstance(thing, list) else type(thing[0]).__name__
    sentence = rf"{name} cannot be pickled or copied, since it lives in this process; .*{instead}"
    with pytest.raises(TypeError, match=sentence):
        taken(thing)


def test_nothing_is_forgotten(simulated: hercle.Hub, tmp_path: Path) -> None:
    """Each public class is tried above: it survives, or it refuses."""
    public = {value for name in hercle.__all__ if inspect.isclass(value := getattr(hercle, name))}
    tried = {type(value) for value in values(simulated)} | {
        type(thing) for thing in living(simulated, tmp_path)
    }
    assert public - ERRORS <= tried
    assert {kind for kind in public if issubclass(kind, BaseException)} <= ERRORS
    assert {RouteHop, Faults} <= tried


def test_no_pickle_holds_the_key(simulator: HubProcess) -> None:
    """What came over a connection with a key is pickled without it, errors with their causes too."""
    with hercle.connect(url=simulator.url, api_key=KEY, journal=False) as hub:
        invoice = hub.create_invoice(0.001, "Tea")
        simulator.mode(errorSubject="execution.invoice.error")
        with pytest.raises(hercle.CommandRejected) as rejected:
            hub.create_invoice(0.001, "Tea")
        things = [invoice, hub.events, hub.invoices, hub.stats, rejected.value, rejected.value.__cause__]
    with pytest.raises(hercle.AuthenticationError) as wrong:
        hercle.connect(url=simulator.url, api_key="another-test-key")
    things += [wrong.value, wrong.value.__cause__, wrong.value.__context__]
    for number in range(pickle.HIGHEST_PROTOCOL + 1):
        content = pickle.dumps(things, number)
        assert KEY.encode() not in content
        assert b"another-test-key" not in content


@contextmanager
def pool() -> Iterator[Callable[..., Any]]:
    """A `multiprocessing.Pool` of one spawned process, as a function that calls another one there."""
    with multiprocessing.get_context("spawn").Pool(1) as workers:
        yield lambda function, argument: workers.apply_async(function, (argument,)).get(timeout=120)
        workers.close()
        workers.join()


@contextmanager
def executor() -> Iterator[Callable[..., Any]]:
    """A `ProcessPoolExecutor` of one spawned process, as a function that calls another one there."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as workers:
        yield lambda function, argument: workers.submit(function, argument).result(timeout=120)


@pytest.mark.parametrize("workers", [pool, executor])
def test_pools(workers: Callable[..., Any], simulated: hercle.Hub) -> None:
    """Errors and values come back whole from another process, a hub does not go there, and the pool lives."""
    with workers() as call:
        with pytest.raises(hercle.OutcomeUnknown, match="tea-1") as unknown:
            call(unanswered, "tea-1")
        assert unknown.value.client_id == "tea-1"
        with pytest.raises(hercle.CommandRejected) as rejected:
            call(refused, "tea-2")
        assert rejected.value.event is not None
        assert rejected.value.event.client_id == "tea-2"
        for kind in ERRORS:
            with pytest.raises(kind) as raised:
                call(fail, error := an_error(kind))
            assert (str(raised.value), raised.value.__notes__) == (str(error), error.__notes__)
        with pytest.raises(TypeError, match=r"call hercle.connect\(\) in the worker"):
            call(fail, simulated)
        with pytest.raises(TypeError, match=r"call hercle.connect\(\) in the worker"):
            call(simulated.create_invoice, 0.001)
        with pytest.raises(Exception, match=r"call hercle.connect\(\) in the worker"):  # each has its own
            call(bring_back_a_hub, "")
        invoice = call(created, "tea-3")
        assert (invoice.client_id, invoice.amount_sat, invoice.memo) == ("tea-3", 100_000, "Tea")
        assert repr(invoice) == repr(pickle.loads(pickle.dumps(invoice)))  # noqa: S301  # of our own making

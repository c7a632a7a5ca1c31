"""The files that the inspector hands to a browser: exactly the invoices shown, and nothing elsewhere."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openpyxl
import pandas as pd
import pytest

import hercle_nb as hercle
from hercle_nb.widgets import _invoice_rows
from tests.answers import pay_to
from tests.faces import Browser, settled
from tests.fast import until
from tests.scripted import scripted_hub
from tests.test_inspector import lose, notice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers import HubProcess


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes are looked for at every tick."""
    monkeypatch.setattr(_invoice_rows, "_LOOK", 0.0)


@pytest.fixture
def hub(simulator: HubProcess) -> Iterator[hercle.Hub]:
    """A hub connected to the simulator."""
    with hercle.connect(url=simulator.url, api_key=simulator.key, journal=False, timeout=10) as hub:
        yield hub


@pytest.fixture
def browser(hub: hercle.Hub) -> Iterator[Browser]:
    """A browser that shows an inspector of that hub."""
    inspector = hub.inspector()
    yield Browser(inspector._table)
    inspector.close()
    settled()


def read_csv(content: bytes) -> list[tuple[str, str]]:
    """The ClientIds and memos of a file."""
    rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
    return [(row["client_id"], row["memo"]) for row in rows]


def read_excel(content: bytes) -> list[tuple[str, str]]:
    """The same of another file; a formula would be no text."""
    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    heads, *rows = [list(row) for row in sheet.iter_rows()]
    names = [cell.value for cell in heads]
    found = [dict(zip(names, row, strict=True)) for row in rows]
    assert all(row["memo"].data_type in ("s", "inlineStr", "n") for row in found)
    return [(row["client_id"].value, row["memo"].value) for row in found]


def read_parquet(content: bytes) -> list[tuple[str, str]]:
    """The same of the third."""
    frame = pd.read_parquet(io.BytesIO(content))
    return list(zip(frame.index, frame["memo"], strict=True))


@pytest.mark.parametrize(
    ("suffix", "read", "guarded"),
    [(".csv", read_csv, "'=1+1"), (".xlsx", read_excel, "=1+1"), (".parquet", read_parquet, "=1+1")],
)
def test_export(
    suffix: str, read: Callable[[bytes], Any], guarded: str, browser: Browser, hub: hercle.Hub
) -> None:
    """The file has the rows shown and no other, refused creations too, and arrives in one message."""
    for name, memo in (("first", "=1+1"), ("second", "Tea"), ("third", "Cake")):
        hub.create_invoice(amount_sat=5, memo=memo, client_id=name)
    until(lambda: len(browser.sent_rows()) == 3)
    browser.say("export", name=f"invoices{suffix}", keys=[1, 3])
    until(lambda: browser.buffers)
    (content,) = browser.buffers
    assert [message for _, message in browser.custom("file")] == [
        {"type": "file", "name": f"invoices{suffix}"}
    ]
    assert read(content) == [("first", guarded), ("third", "Cake")]
    until(lambda: notice(browser) == "")


def test_export_of_all_kinds(browser: Browser, hub: hercle.Hub, simulator: HubProcess) -> None:
    """A refused creation and one of unknown outcome are in the file as in the table."""
    simulator.mode(errorSubject="execution.invoice.error")
    with pytest.raises(hercle.CommandRejected):
        hub.create_invoice(0.001, client_id="refused")
    lose(hub, simulator)
    until(lambda: len(browser.sent_rows()) == 2)
    browser.say("export", name="invoices.csv", keys=[1, 2, 99, "1", None, [1]])
    until(lambda: browser.buffers)
    rows = list(csv.DictReader(io.StringIO(browser.buffers[0].decode("utf-8-sig"))))
    assert [(row["client_id"], row["status"], row["environment"]) for row in rows] == [
        ("refused", "rejected", hub.environment),
        ("lost", "unknown", hub.environment),
    ]


def test_export_tells_them_apart() -> None:
    """Invoices without an id, or with one that another has, are in the file if they are shown, else not."""
    requests = [pay_to(payment_hash=bytes([n]) * 32, amount_msat=1_000 * (n + 1)) for n in range(4)]
    with scripted_hub() as server:
        server.invoices += [
            {"id": hub_id, "status": "OPEN", "encodedPaymentRequest": request}
            for hub_id, request in zip((None, "", "inv_1", "inv_1"), requests, strict=True)
        ]
        with hercle.connect(url=server.url, api_key=server.key, journal=False) as hub:
            hub.refresh_invoices()
            inspector = hub.inspector()
            browser = Browser(inspector._table)
            browser.say("export", name="invoices.csv", keys=[1, 2, 4])
            until(lambda: browser.buffers)
            inspector.close()
    rows = csv.DictReader(io.StringIO(browser.buffers[0].decode("utf-8-sig")))
    assert [row["payment_request"] for row in rows] == [requests[0], requests[1], requests[3]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which everything happens that has to do with files."""
    here = tmp_path / "deep" / "er"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setattr(tempfile, "tempdir", str(here))
    return tmp_path


@pytest.mark.parametrize("name", ["../../x.csv", "/x.csv", "a/b\\x.csv", "~/x.csv"])
def test_export_has_no_folder(browser: Browser, hub: hercle.Hub, folder: Path, name: str) -> None:
    """A name with folders in it leads nowhere: the file is handed over under its last part alone."""
    hub.create_invoice(amount_sat=5, client_id="first")
    until(browser.sent_rows)
    browser.say("export", name=name, keys=[1])
    until(lambda: browser.buffers)
    assert [message["name"] for _, message in browser.custom("file")] == [Path(name).name]
    assert [path for path in folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "name",
    ["x.exe", "", ".", "..", "../..", None, 7, {"a": 1}, "x\0.csv", "x" * 5_000 + ".csv", "\ud800.csv"],
)
def test_export_of_no_file(browser: Browser, hub: hercle.Hub, folder: Path, name: Any) -> None:
    """What is no name of such a file is refused in words, and nothing is written or sent."""
    hub.create_invoice(amount_sat=5)
    until(browser.sent_rows)
    browser.say("export", name=name, keys=[1])
    until(lambda: notice(browser) and not notice(browser).startswith("Writing"))
    assert browser.buffers == []
    assert [path for path in folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("keys", [None, 7, "12", {}])
def test_export_of_no_rows(browser: Browser, hub: hercle.Hub, keys: Any) -> None:
    """Where no rows are named the file has none."""
    hub.create_invoice(amount_sat=5)
    browser.say("export", name="invoices.csv", keys=keys)
    until(lambda: browser.buffers)
    assert read_csv(browser.buffers[0]) == []

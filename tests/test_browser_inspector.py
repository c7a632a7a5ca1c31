"""The inspector in a real browser: thousands of invoices, everything about one, hostile texts."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.browser import AXE, lab, run, run_all, theme, until, violations
from tests.hostile import HOSTILE
from tests.jupyterlab import NEEDS_CHROMIUM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Locator, Page

    from tests.browser import Lab
    from tests.servers import HubProcess

pytestmark = NEEDS_CHROMIUM

MANY = """
from decimal import Decimal
import hercle_nb as hercle
hub = hercle.connect("simulator")
state = hub.simulator._server.state
[owner] = state.keys.values()
for i in range(5_000):
    state.issue(owner, Decimal(1_000 + i), (1_000 + i) * 1_000, f"Invoice {i}", 24)
hub.refresh_invoices()
inspector = hub.inspector()
"""

HOSTILE_INVOICES = """
from hercle_nb.bolt11_encode import encode_payment_request
def entry(number, text):
    sent = text.encode("utf-8", "replace")[:600].decode("utf-8", "ignore")
    request = encode_payment_request(
        currency="bcrt", amount_msat=1_000 * (number + 1), timestamp=1_790_000_000, description=sent,
        payment_hash=number.to_bytes(32, "big"), payment_secret=bytes(32), expiry=30 * 86_400,
        min_final_cltv_expiry=40, private_key=number + 1,
    )
    return dict(id=f"{{number}} {{text}}", encodedPaymentRequest=request, status="OPEN", memo=text)
hub._core.book.merge([entry(number, text) for number, text in enumerate({texts!r})])
hub.inspector()
"""

ANY_AMOUNTS = """
from hercle_nb.bolt11_encode import encode_payment_request
for number, msat in enumerate((2_000, None, 1_000, None)):
    request = encode_payment_request(
        currency="bcrt", amount_msat=msat, timestamp=1_790_000_000, description="", private_key=7,
        payment_hash=bytes([number] * 32), payment_secret=bytes(32),
    )
    hub._core.book.merge([{"id": f"inv_{number}", "encodedPaymentRequest": request, "status": "OPEN"}])
hub.inspector()
"""


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One JupyterLab and one Chromium for all tests here."""
    with lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="module")
def many(jupyter: Lab) -> Iterator[Page]:
    """A notebook with 5,000 invoices on its simulator, and their inspector."""
    with jupyter.notebook("many", MANY, "inspector") as page:
        run_all(page)
        until(page, lambda: "5,000 rows" in region(page).inner_text(), seconds=90)
        yield page


@pytest.fixture
def cell(simulator: HubProcess) -> str:
    """A cell that connects to the simulator as a program."""
    return (
        "import hercle_nb as hercle\n"
        f"hub = hercle.connect(url={simulator.url!r}, api_key={simulator.key!r}, journal=False)"
    )


def region(page: Page) -> Locator:
    """The inspector."""
    return page.get_by_role("region", name="Invoices")


def memos(page: Page) -> list[str]:
    """The memos of the rows drawn."""
    return region(page).locator("tbody tr:not(.hn-space) td:nth-child(6)").all_inner_texts()


def numbers(page: Page) -> int:
    """How many rows are shown."""
    return int(region(page).locator("table").get_attribute("aria-rowcount") or 0) - 1


def choose(page: Page, memo: str) -> None:
    """Open the row with that memo, and wait for its card."""
    region(page).get_by_role("cell", name=memo, exact=True).click()
    region(page).locator(".hn-card").get_by_text(memo, exact=True).wait_for()


def test_five_thousand(many: Page) -> None:
    """With 5,000 invoices sorting, filters and scrolling answer at once, and draw a screenful of rows."""
    page = many
    assert memos(page)[0] == "Invoice 4999"
    assert len(memos(page)) < 60
    taken = region(page).evaluate(
        """async region => {
            const wait = async () => {
                for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame);
            };
            const began = performance.now();
            [...region.querySelectorAll('.hn-sort')].find(head => head.textContent === 'sat').click();
            await wait();
            const filter = region.querySelector('input[type=search]');
            filter.value = 'invoice 12';
            filter.dispatchEvent(new Event('input'));
            await wait();
            return performance.now() - began;
        }"""
    )
    assert taken < 1_000
    assert memos(page)[0] == "Invoice 12"
    assert numbers(page) == 111  # 12, 120 to 129, 1200 to 1299
    region(page).get_by_label("Filter").fill("")
    until(page, lambda: numbers(page) == 5_000)
    region(page).locator(".hn-scroll").evaluate("scroll => { scroll.scrollTop = 24 * 2500; }")
    until(page, lambda: "Invoice 2505" in memos(page))


def test_filters_and_order(many: Page) -> None:
    """Rows are chosen by state, text, amount and day together, and sorted by any column either way."""
    page = many
    inspector = region(page)
    inspector.get_by_label("At least (sat)").fill("1100")
    inspector.get_by_label("At most (sat)").fill("1104")
    until(page, lambda: numbers(page) == 5)
    head = inspector.get_by_role("button", name="sat", exact=True)
    for order, first in (("ascending", "Invoice 100"), ("descending", "Invoice 104")):
        if head.locator(f"xpath=parent::th[@aria-sort='{order}']").count() == 0:
            head.click()
        region(page).locator("tbody tr:not(.hn-space)").first.get_by_text(first, exact=True).wait_for()
        assert inspector.locator(f"th[aria-sort={order}]").count() == 1
    inspector.get_by_label("State").select_option(label="✓ paid")
    until(page, lambda: numbers(page) == 0)
    run(page, "hub.simulator.pay(next(reversed(state.invoices)))")
    run(page, "hub.simulator.pay(list(state.invoices)[102])")
    inspector.get_by_role("button", name="Refresh").click()
    until(page, lambda: memos(page) == ["Invoice 102"])
    inspector.get_by_label("State").select_option(index=0)
    inspector.get_by_label("From (UTC)").fill("2099-01-01")
    until(page, lambda: numbers(page) == 0)
    inspector.get_by_label("From (UTC)").fill("")
    inspector.get_by_label("Until (UTC)").fill("2000-01-01")
    until(page, lambda: numbers(page) == 0)
    for label in ("Until (UTC)", "At least (sat)", "At most (sat)"):
        inspector.get_by_label(label).fill("")
    until(page, lambda: numbers(page) == 5_000)


def test_any_amount_is_no_number(jupyter: Lab, cell: str) -> None:
    """An amount that the payer chooses is called so, and stands below the numbers whatever the order."""
    with jupyter.notebook("any", cell, ANY_AMOUNTS) as page:
        run_all(page)
        amounts = region(page).locator("tbody tr:not(.hn-space) td:nth-child(3)")
        until(page, lambda: amounts.count() == 4)
        for numbers_ in (["0.00000001", "0.00000002"], ["0.00000002", "0.00000001"]):
            region(page).get_by_role("button", name="BTC", exact=True).click()
            until(page, lambda wanted=numbers_: amounts.all_inner_texts() == [*wanted, *["any amount"] * 2])


def test_everything_about_one(many: Page) -> None:
    """A row opens to card, payment request taken apart, events and JSON, by click and by key."""
    page = many
    inspector = region(page)
    inspector.get_by_label("Filter").fill("invoice 77")
    until(page, lambda: "Invoice 77" in memos(page))
    choose(page, "Invoice 77")
    number = inspector.get_by_role("button", name="Row 78", exact=True)
    assert "hn-open" in (number.locator("xpath=ancestor::tr").get_attribute("class") or "")
    inspector.get_by_role("button", name="Decoded payment request").click()
    inspector.get_by_text("final", exact=False).first.wait_for()
    inspector.get_by_role("button", name="Raw JSON").press("Enter")
    listed = json.loads(inspector.get_by_role("group", name="JSON").first.inner_text())
    assert listed["memo"] == "Invoice 77"
    inspector.get_by_role("button", name="Events that mention it").press("Enter")
    inspector.get_by_text("lightspark.invoices.snapshot").first.click()
    assert listed["id"] in inspector.get_by_role("group", name="JSON").nth(1).inner_text()
    inspector.get_by_label("Filter").fill("invoice 78")
    inspector.get_by_role("button", name="Row 79", exact=True).press("Enter")
    inspector.locator(".hn-card").get_by_text("Invoice 78", exact=True).wait_for()
    inspector.get_by_label("Filter").fill("")


def test_paid_without_a_click(many: Page) -> None:
    """When the invoice of the card is paid, card and row say so by themselves."""
    page = many
    inspector = region(page)
    inspector.get_by_label("Filter").fill("invoice 555")
    until(page, lambda: memos(page)[:1] == ["Invoice 555"])
    choose(page, "Invoice 555")
    inspector.get_by_role("button", name="Raw JSON").click()
    inspector.get_by_role("group", name="JSON").get_by_text('"status": "OPEN"').wait_for()
    inspector.get_by_role("button", name="Pay (simulator)").click()
    inspector.get_by_text("which proves the payment").wait_for()
    inspector.get_by_role("group", name="JSON").get_by_text('"status": "CLOSED"').wait_for()
    until(page, lambda: "✓ paid" in inspector.locator("tbody tr:not(.hn-space)").first.inner_text())
    assert inspector.get_by_role("img", name="QR code").count() == 0
    inspector.get_by_label("Filter").fill("")


def test_export(many: Page) -> None:
    """The rows shown are handed over as CSV, Excel and Parquet, with all there is about each."""
    import openpyxl
    import pandas as pd

    page = many
    inspector = region(page)
    inspector.get_by_label("Filter").fill("invoice 499")
    until(page, lambda: numbers(page) == 11)  # 499 and 4990 to 4999
    files = {}
    for name in ("CSV", "Excel", "Parquet"):
        with page.expect_download() as download:
            inspector.get_by_role("button", name=name, exact=True).click()
        files[download.value.suggested_filename] = download.value.path().read_bytes()
    wanted = {"Invoice 499", *(f"Invoice {number}" for number in range(4990, 5000))}
    rows = list(csv.DictReader(io.StringIO(files["invoices.csv"].decode("utf-8-sig"))))
    assert {row["memo"] for row in rows} == wanted
    assert all(row["payment_request"].startswith("lnbcrt") for row in rows)
    assert set(pd.read_parquet(io.BytesIO(files["invoices.parquet"]))["memo"]) == wanted
    assert openpyxl.load_workbook(io.BytesIO(files["invoices.xlsx"])).active.max_row == 12
    inspector.get_by_label("Filter").fill("")


def test_any_request(many: Page) -> None:
    """A pasted payment request is taken apart, and what is none is told."""
    page = many
    request = run(page, "inspector._rows.item(5).payment_request").strip("'")
    field = region(page).get_by_label("Decode a payment request")
    field.fill(f"lightning:{request.upper()}")
    region(page).locator(".hn-reader").get_by_text("Invoice 4", exact=True).wait_for()
    field.fill("lnbc1nothing")
    region(page).locator(".hn-reader").get_by_role("alert").wait_for()
    field.fill("")


def test_hostile_invoices(jupyter: Lab, cell: str, simulator: HubProcess) -> None:
    """Hostile memos and ids of a hub's list are text in table and detail; nothing runs, the layout holds."""
    hostile = HOSTILE_INVOICES.format(texts=HOSTILE)
    with jupyter.notebook("hostile", cell, hostile) as page:
        dialogs: list[str] = []
        page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        run_all(page)
        until(page, lambda: "50 rows" in region(page).inner_text(), seconds=30)
        width = region(page).evaluate("region => region.getBoundingClientRect().width")
        region(page).locator(".hn-scroll").evaluate(
            "scroll => { scroll.style.cssText = 'height: 2000px; max-height: none'; }"
        )
        until(page, lambda: len(memos(page)) == 50)
        heights = region(page).evaluate(
            "region => [...region.querySelectorAll('tbody tr:not(.hn-space)')].map(row => row.offsetHeight)"
        )
        assert set(heights) == {24}
        for number in (1, 2, 5, 10, 33, 38, 42, 48):
            region(page).get_by_role("button", name=f"Row {number}", exact=True).click()
            region(page).locator(".hn-card code", has_text=re.compile(f"^{number - 1} ")).wait_for()
            region(page).get_by_role("button", name="Raw JSON").click()
        assert region(page).evaluate("region => region.getBoundingClientRect().width") == width
        assert page.evaluate("window.ran") is None
        assert dialogs == []
        inside = region(page).locator("script, iframe, meta, base, [onload], [onerror], [onmouseover]")
        assert inside.count() == 0


def test_unknown_and_refused(jupyter: Lab, cell: str, simulator: HubProcess) -> None:
    """Creations without an invoice are rows with what is known; Refresh settles what the hub's list has."""
    lost = (
        "for mode in ('refused', 'lost'):\n"
        "    try:\n"
        "        hub.create_invoice('0.001', mode, client_id=mode, timeout=0.5)\n"
        "    except hercle.HercleError as error:\n"
        "        print(type(error).__name__)\n"
        "    simulator_says('lost')\n"
        "hub.inspector()"
    )
    says = (
        "import json, urllib.request\n"
        "def simulator_says(mode):\n"
        "    modes = {'refused': {'errorSubject': 'execution.invoice.error'}, 'lost': {'noReply': True}}\n"
        f"    url = {simulator.url.partition('/ExecutionLiveServer')[0]!r} + '/control/mode'\n"
        "    data = json.dumps(modes[mode]).encode()\n"
        "    request = urllib.request.Request(url, data, {'Content-Type': 'application/json'})\n"
        "    urllib.request.urlopen(request).close()\n"
        "simulator_says('refused')"
    )
    with jupyter.notebook("unknown", cell, says, lost) as page:
        run_all(page)
        until(page, lambda: sorted(memos(page)) == ["lost", "refused"], seconds=30)
        region(page).get_by_role("cell", name="✗ rejected").click()
        region(page).get_by_role("alert").get_by_text("The account may not create invoices").wait_for()
        region(page).get_by_role("cell", name="? unknown").click()
        region(page).get_by_text("Nothing is sent again by itself").wait_for()
        simulator.mode()
        region(page).get_by_role("button", name="Refresh").click()
        region(page).get_by_role("cell", name="◷ open").wait_for()
        assert numbers(page) == 2
        assert simulator.created() == 1


def test_accessible(many: Page) -> None:
    """axe-core finds nothing in light and dark, with an invoice opened; the focus shows."""
    if not AXE.is_file():
        pytest.skip("axe-core is not here: npm ci --prefix tests/js")
    page = many
    region(page).get_by_label("Filter").fill("invoice 66")
    until(page, lambda: "Invoice 66" in memos(page))
    choose(page, "Invoice 66")
    for part in ("Decoded payment request", "Raw JSON"):
        region(page).get_by_role("button", name=part).click()
    for name in ("Light", "Dark"):
        theme(page, name)
        told, texts = violations(page, ".hn-inspector")
        assert told == []
        assert texts > 30
        region(page).get_by_role("button", name="Refresh").focus()
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    theme(page, "Light")


def test_plain(jupyter: Lab, cell: str, simulator: HubProcess) -> None:
    """The plain inspector lists, filters and opens invoices on ipywidgets alone."""
    make = "for memo in ('tea', 'coffee'):\n    hub.create_invoice('0.001', memo)\nhub.inspector(plain=True)"
    with jupyter.notebook("plain", cell, make) as page:
        run_all(page)
        page.get_by_role("cell", name="coffee").wait_for(timeout=30_000)
        page.get_by_label("Filter", exact=True).fill("tea")
        page.get_by_role("cell", name="coffee").wait_for(state="detached")
        page.get_by_label("Show", exact=True).select_option(index=1)
        page.locator(".hn-card").get_by_text("tea", exact=True).wait_for()

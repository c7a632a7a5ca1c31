"""The monitor in a real browser: with hostile events, in two browsers, by keyboard."""

from __future__ import annotations

import csv
import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.browser import AXE, clear, lab, run, run_all, theme, until, violations
from tests.hostile import HOSTILE, UNSEEN
from tests.jupyterlab import NEEDS_CHROMIUM
from tests.monitors import button, connected, connecting, push, region, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from tests.browser import Lab
    from tests.servers import HubProcess

pytestmark = NEEDS_CHROMIUM

ROW = 24  # pixels


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One JupyterLab and one Chromium for all tests here."""
    with lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="module")
def cell(simulator_process: HubProcess) -> str:
    """A cell that connects to the simulator, anew each time it is run."""
    return connecting(simulator_process)


@pytest.fixture(scope="module")
def notebook(jupyter: Lab, cell: str) -> Iterator[Page]:
    """A notebook with a monitor in it, for all tests that need no kernel of their own."""
    with jupyter.notebook("monitor", cell, "hub.monitor()") as page:
        yield page


@pytest.fixture
def page(notebook: Page, simulator: HubProcess) -> Page:
    """That notebook with a new hub and a new monitor."""
    clear(notebook)
    region(notebook).wait_for(state="detached")
    run_all(notebook)
    connected(notebook)
    return notebook


def test_rows_skipped_are_counted(page: Page, simulator: HubProcess) -> None:
    """What is too fast for a browser is counted in it, and the newest is shown all the same."""
    push(simulator, 20_000)
    push(simulator, 1, subject="the last one")
    until(page, lambda: shown(page)["cells"][-1][4] == "the last one")
    skipped = re.search(r"([\d,]+) rows skipped here; hub.events has them all", region(page).inner_text())
    rows = int(region(page).locator("table").get_attribute("aria-rowcount")) - 1
    assert int(skipped[1].replace(",", "")) + rows == 20_002


def test_follow(page: Page, simulator: HubProcess) -> None:
    """The newest row is in sight until a user scrolls up, and again once told to follow."""
    push(simulator, 1_000, rate=2_000)
    until(page, lambda: shown(page)["seqs"][-1:] == [1_000])
    assert shown(page)["atEnd"]
    page.wait_for_timeout(300)
    region(page).locator(".hn-scroll").evaluate(f"scroll => {{ scroll.scrollTop = {ROW * 400}; }}")
    until(page, lambda: 405 in shown(page)["seqs"])
    push(simulator, 4_500, rate=4_000)
    until(page, lambda: shown(page)["seqs"][0] == 501)  # those in sight have left, so the oldest are
    assert not shown(page)["atEnd"]
    button(page, "Follow").click()
    until(page, lambda: shown(page)["seqs"][-1:] == [5_500] and shown(page)["atEnd"])


def test_place_is_kept(page: Page, simulator: HubProcess) -> None:
    """While old rows leave, new ones come and the table is out of sight, the rows stay where they are."""
    push(simulator, 5_000, rate=4_000)
    until(page, lambda: shown(page)["seqs"][-1:] == [5_000])
    region(page).locator(".hn-scroll").evaluate(f"scroll => {{ scroll.scrollTop = {ROW * 4_000}; }}")
    until(page, lambda: 4_005 in shown(page)["seqs"])
    row = region(page).get_by_role("button", name="Row 4005", exact=True)
    before = row.bounding_box()
    push(simulator, 1_000, rate=4_000)
    until(page, lambda: "6,001 rows in the log" in region(page).inner_text())
    page.wait_for_timeout(300)
    assert abs(row.bounding_box()["y"] - before["y"]) < 2
    page.locator(".hn-table").evaluate("table => { table.style.display = 'none'; }")
    push(simulator, 10)
    page.wait_for_timeout(300)
    page.locator(".hn-table").evaluate("table => { table.style.display = ''; }")
    until(page, lambda: row.is_visible())
    page.wait_for_timeout(300)
    assert abs(row.bounding_box()["y"] - before["y"]) < 2


def test_filters(page: Page, simulator: HubProcess) -> None:
    """Rows are filtered by text, kind, target and subject, all at once, in the browser."""
    push(simulator, 3, subject="first.subject", target="otherEvents")
    push(simulator, 2, subject="second.subject")
    until(page, lambda: len(shown(page)["seqs"]) == 6)
    for label, value, seqs in (
        ("Kind", "connection", [0]),
        ("Kind", "event", [1, 2, 3, 4, 5]),
        ("Target", "executionEvents", [4, 5]),
        ("Subject", "second.subject", [4, 5]),
        ("Subject", "first.subject", []),
    ):
        region(page).get_by_label(label, exact=True).select_option(label=value)
        until(page, lambda seqs=seqs: shown(page)["seqs"] == seqs)
    assert "0 rows of 6" in region(page).inner_text()
    for label in ("Kind", "Target", "Subject"):
        region(page).get_by_label(label, exact=True).select_option(index=0)
    region(page).get_by_label("Filter").fill("FIRST.sub")
    until(page, lambda: shown(page)["seqs"] == [1, 2, 3])


def test_row_opens(page: Page, simulator: HubProcess) -> None:
    """A row opens to its JSON, digit for digit, by click or key; the JSON is copied, and Escape closes it."""
    from playwright.sync_api import expect

    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    raw = (
        '{"type":1,"target":"executionEvents","arguments":[{"subject":"exact","data":{"empty":{},"list":[],'
        '"price":0.10,"big":12345678901234567890,"text":"a \\"quoted\\" {brace}, [and]:"}}]}'
    )
    simulator.post("raw", raw + "␞")
    until(page, lambda: 1 in shown(page)["seqs"])
    region(page).locator("tbody").get_by_text("exact", exact=True).click()
    detail = page.get_by_role("region", name="Row 1", exact=True)
    expect(detail.locator("pre")).to_be_visible()
    text = detail.locator("pre").inner_text()
    assert json.loads(text) == json.loads(raw)
    assert '"price": 0.10,\n' in text
    assert '"big": 12345678901234567890,\n' in text
    assert '"empty": {},\n' in text
    detail.get_by_role("button", name="Copy").click()
    expect(detail).to_contain_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == raw
    page.keyboard.press("Escape")
    expect(detail).to_be_hidden()
    assert page.evaluate("document.activeElement.textContent") == "1"
    page.keyboard.press("Enter")
    expect(detail).to_be_visible()
    expect(button(page, "Row 1")).to_have_attribute("aria-expanded", "true")
    expect(button(page, "Follow")).to_have_attribute("aria-pressed", "false")
    for place in (
        button(page, "Row 0"),
        region(page).get_by_label("Kind"),
        region(page).get_by_label("Rows"),
    ):
        place.press("d")
        place.press("d")  # JupyterLab deletes a cell by that
    expect(region(page)).to_be_visible()


def test_downloads(page: Page, simulator: HubProcess) -> None:
    """The rows shown are downloaded as CSV, without formulas, and as JSON lines."""
    push(simulator, 1, subject='=HYPERLINK("http://x")', target="@SUM(1)")
    push(simulator, 1, subject="filtered away")
    until(page, lambda: 2 in shown(page)["seqs"])
    region(page).get_by_label("Filter").fill("hyperlink")
    until(page, lambda: shown(page)["seqs"] == [1])
    with page.expect_download() as download:
        button(page, "CSV").click()
    assert download.value.suggested_filename == "hub-events.csv"
    with download.value.path().open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["subject"] == '\'=HYPERLINK("http://x")'
    assert row["target"] == "'@SUM(1)"
    assert json.loads(row["raw"])["target"] == "@SUM(1)"
    with page.expect_download() as download:
        button(page, "JSONL").click()
    assert download.value.suggested_filename == "hub-events.jsonl"
    (line,) = download.value.path().read_text().splitlines()
    assert json.loads(line)["subject"] == '=HYPERLINK("http://x")'
    assert json.loads(line)["seq"] == 1


def test_hostile_events(page: Page, simulator: HubProcess) -> None:
    """Hostile subjects and memos are text wherever they are shown; nothing of them runs, the layout holds."""
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    width = shown(page)["width"]
    region(page).locator(".hn-scroll").evaluate("scroll => { scroll.style.height = '2000px'; }")
    for text in HOSTILE:
        push(
            simulator, 1, arguments=[{"subject": text, "clientId": text, "data": {"memo": text}}], target=text
        )
    until(page, lambda: shown(page)["seqs"] == list(range(51)))
    table = shown(page)
    for text, cells in zip(HOSTILE, table["cells"][1:], strict=True):
        sent = text if len(text) <= 300 else f"{text[:300]}… {len(text) - 300:,} characters left out here"
        told = sent.encode("utf-16-le")[:600].decode("utf-16-le", "ignore")  # as JavaScript counts
        assert cells[3:6] == [UNSEEN.sub(lambda found: f"U+{ord(found[0]):04X}", told)] * 3
    assert set(table["heights"]) == {ROW}
    assert table["width"] == width
    for seq in (1, 33, 48):
        button(page, f"Row {seq}").click()
        assert HOSTILE[seq - 1][:20] in region(page).locator("pre").inner_text()
    page.keyboard.press("Escape")
    region(page).get_by_label("Subject", exact=True).select_option(index=HOSTILE.index("-->") + 1 + 1)
    until(page, lambda: [cells[4] for cells in shown(page)["cells"]] == ["-->"])
    assert page.evaluate("window.ran") is None
    assert dialogs == []
    inside = region(page).locator("script, img, svg, iframe, a, style, meta, base, [onload], [onerror]")
    assert inside.count() == 0


def test_accessible(page: Page, simulator: HubProcess) -> None:
    """axe-core finds nothing in light and dark, with a row open; what can be focused shows it is."""
    if not AXE.is_file():
        pytest.skip("axe-core is not here: npm ci --prefix tests/js")
    push(simulator, 100)
    until(page, lambda: 100 in shown(page)["seqs"])
    button(page, "Row 100").click()
    for name in ("Light", "Dark"):
        theme(page, name)
        told, texts = violations(page, ".hn-monitor")
        assert told == []
        assert texts > 20
        button(page, "Row 99").focus()
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
    theme(page, "Light")


def test_still_for_those_who_ask(jupyter: Lab, cell: str, simulator: HubProcess) -> None:
    """With `prefers-reduced-motion` nothing moves by itself, not even while the connection is made again."""
    from playwright.sync_api import expect

    with jupyter.notebook("still", cell, "hub.monitor()", reduced_motion="reduce") as page:
        run_all(page)
        connected(page)
        simulator.mode(negotiateFailures=3, negotiateStatus=503)
        simulator.lose()
        status = region(page).get_by_role("status")
        expect(status).to_have_text("Reconnecting")
        expect(region(page)).to_contain_text("trying again within")
        moving = "badge => getComputedStyle(badge, '::before').animationName"
        assert status.evaluate(moving) == "none"
        page.emulate_media(reduced_motion="no-preference")
        assert status.evaluate(moving) == "hn-pulse"
        run(page, "hub.close()")
        expect(status).to_have_text("Closed")
        expect(region(page)).to_contain_text("hercle.connect()")


def test_two_browsers(jupyter: Lab, page: Page, simulator: HubProcess) -> None:
    """A second browser on the notebook gets the rows there were; each has filter and pause of its own."""
    push(simulator, 600, rate=3_000)
    until(page, lambda: 600 in shown(page)["seqs"])
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    with jupyter.context() as context:
        second = context.new_page()
        jupyter.open(second, "monitor")
        until(second, lambda: "601 rows" in region(second).inner_text())
        button(page, "Pause").click()
        push(simulator, 10)
        until(second, lambda: shown(second)["seqs"][-1:] == [610])
        assert shown(page)["seqs"][-1:] == [600]
        button(page, "Resume").click()
        until(page, lambda: shown(page)["seqs"][-1:] == [610])
    push(simulator, 10)
    until(page, lambda: shown(page)["seqs"][-1:] == [620])


def test_reload(jupyter: Lab, page: Page, simulator: HubProcess) -> None:
    """After the page was reloaded, or the notebook closed and opened, the rows are there and go on."""
    push(simulator, 1_000, rate=3_000)
    until(page, lambda: 1_000 in shown(page)["seqs"])
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.reload()
    until(page, lambda: "1,001 rows" in region(page).first.inner_text())
    push(simulator, 10)
    until(page, lambda: shown(page)["seqs"][-1:] == [1_010])
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.evaluate("window.jupyterapp.commands.execute('application:close')")
    region(page).wait_for(state="detached")
    push(simulator, 10)
    page.evaluate("window.jupyterapp.commands.execute('docmanager:open', {path: 'monitor.ipynb'})")
    until(page, lambda: "1,021 rows" in region(page).first.inner_text())
    push(simulator, 10)
    until(page, lambda: shown(page)["seqs"][-1:] == [1_030])


def test_page_left(jupyter: Lab, cell: str, simulator: HubProcess) -> None:
    """When the last page that shows a monitor is left, the kernel sends it nothing any more."""
    with jupyter.notebook("left", cell, "monitor = hub.monitor()\nmonitor") as page:
        run_all(page)
        connected(page)
        assert run(page, "monitor._table._ticker is None") == "False"
        page.goto("about:blank")
        jupyter.open(page, "left")  # as it was written, without outputs
        until(page, lambda: run(page, "monitor._table._ticker is None") == "True")


def test_kernel_restart(page: Page) -> None:
    """When the kernel is gone the table says so and keeps its rows; run again, it is live again."""
    from playwright.sync_api import expect

    page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    expect(region(page).get_by_role("status")).to_have_text("Closed", timeout=20_000)
    expect(region(page)).to_contain_text("run the cell again")
    expect(button(page, "Row 0")).to_be_visible()
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=30_000)
    run_all(page)
    connected(page)


def test_plain_and_region(jupyter: Lab, cell: str, simulator: HubProcess) -> None:
    """The plain monitor lives in a browser too, and a `Region` names the box that it is put into."""
    from playwright.sync_api import expect

    boxed = (
        "import ipywidgets\nfrom hercle_nb.widgets._frontend import Region\n"
        "ipywidgets.VBox([Region('Invoices'), ipywidgets.Text(description='Memo')])"
    )
    with jupyter.notebook("plain", cell, "hub.monitor(plain=True)", boxed) as page:
        run_all(page)
        expect(page.get_by_role("region", name="Invoices").get_by_label("Memo")).to_be_visible()
        expect(region(page).get_by_role("status")).to_have_text("Connected")
        push(simulator, 1, subject="a needle")
        expect(region(page).get_by_role("cell", name="a needle", exact=True)).to_be_visible()
        if AXE.is_file():
            assert violations(page, ".hn-monitor")[0] == []
        push(simulator, 100)
        expect(region(page).get_by_role("cell", name="101", exact=True)).to_be_in_viewport()
        page.get_by_placeholder("Filter", exact=True).fill("connection.opened")
        page.keyboard.press("Tab")
        expect(region(page).get_by_role("cell", name="a needle", exact=True)).to_be_hidden()

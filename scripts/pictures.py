"""Make pictures of every face, light and dark, wide and narrow, on the simulator: `make pictures`.

Wide ones show JupyterLab, narrow ones Voilà as on a phone. All go to build/pictures, to be looked at; those
that the README and the documentation show go to docs/pictures as well.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.browser import chromium, lab, run_all, theme, voila
from tests.jupyterlab import CHROMIUM

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parent.parent
ALL = ROOT / "build" / "pictures"
SHOWN = ROOT / "docs" / "pictures"
IN_DOCS = {
    *("card-1280", "card-1280-dark", "inspector-1280", "inspector-1280-dark"),
    *("monitor-1280", "monitor-1280-dark", "app-400", "app-400-dark"),
}
WIDE, NARROW = {"width": 1280, "height": 1200}, {"width": 400, "height": 1100}

CONNECT = 'import hercle_nb as hercle\n\nhub = hercle.connect("simulator")'
# a day at work, told to the embedded simulator; not part of the picture
SOME_INVOICES = """
for sat, memo, hours in ((100_000, "Payment for services", 24), (25_000, "Consulting, October", 720),
                         (4_200, "Coffee for the team", 1), (1_250_000, "Hosting, one year", 168)):
    made = hub.create_invoice(amount_sat=sat, memo=memo, expiry_hours=hours)
    if sat in (25_000, 4_200):
        hub.simulator.pay(made)
hub.refresh_invoices()
hub.simulator.faults.errorSubject = "execution.invoice.error"
try:
    hub.create_invoice("0.5", "Too much for this account")
except hercle.CommandRejected:
    hub.simulator.faults.errorSubject = None
"""
SOME_EVENTS = """
hub.create_invoice(0.001, "Payment for services", 24)
hub.command("GetBalances")
feed = hub.prices("BTCUSDT")
hub.wait_for("execution.feeds.*", since=0)
for _ in range(4):
    hub.wait_for("execution.feeds.*")
feed.cancel()
"""


@dataclass(frozen=True)
class Scene:
    """What a picture shows.

    Attributes:
        cells: The cells; the last one is in the picture.
        act: What a user does before it is taken.
    """

    cells: tuple[str, ...]
    act: Callable[[Page], None]


def _static_card(page: Page) -> None:
    page.get_by_role("img", name="QR code to pay").wait_for()


def _fill(page: Page) -> None:
    page.get_by_label("Amount").fill("0.0005")
    page.get_by_label("Memo").fill("Coffee for the team")
    page.get_by_text("50\u202f000 sat").wait_for()


def _create(page: Page) -> None:
    _fill(page)
    page.get_by_role("button", name="Create invoice").click()
    page.get_by_role("button", name="Copy payment request").wait_for()


def _inspect(page: Page) -> None:
    page.get_by_role("cell", name="Payment for services").click()
    page.get_by_role("button", name="Copy payment request").wait_for()
    page.locator(".hn-scroll").evaluate("scroll => { scroll.style.height = '170px'; }")


def _watch(page: Page) -> None:
    page.get_by_role("cell", name="account.balances.snapshot", exact=True).click()


def _open_app(page: Page) -> None:
    page.get_by_role("button", name="Use the simulator").click()
    page.locator(".hn-app").get_by_role("tab", name="New invoice").wait_for()
    _create(page)


SCENES = {
    "invoice": Scene((CONNECT, 'hub.create_invoice(0.001, "Payment for services", 24)'), _static_card),
    "form": Scene((CONNECT, "hub.form()"), _fill),
    "card": Scene((CONNECT, "hub.form()"), _create),
    "inspector": Scene((CONNECT, SOME_INVOICES, "hub.inspector()"), _inspect),
    "monitor": Scene((CONNECT, SOME_EVENTS, "hub.monitor()"), _watch),
    "app": Scene(("import hercle_nb as hercle", 'hercle.app(environment="sandbox")'), _open_app),
}


def take_wide(browser: Browser) -> None:
    """The pictures in JupyterLab."""
    with tempfile.TemporaryDirectory() as folder, lab(Path(folder), browser) as jupyter:
        for name, scene in SCENES.items():
            with jupyter.notebook(name, *scene.cells, viewport=WIDE) as page:
                run_all(page)
                scene.act(page)
                for dark in (False, True):
                    theme(page, "Dark" if dark else "Light")
                    page.mouse.move(0, 0)
                    page.wait_for_timeout(500)  # what fades has faded
                    _keep(page, name, 1280, dark=dark)


def take_narrow(browser: Browser) -> None:
    """The pictures in Voilà."""
    with tempfile.TemporaryDirectory() as folder, voila(Path(folder), browser) as served:
        for name, scene in SCENES.items():
            for dark in (False, True):
                served.theme = "dark" if dark else "light"
                with served.notebook(name, *scene.cells, viewport=NARROW) as page:
                    scene.act(page)
                    page.wait_for_timeout(500)
                    _keep(page, name, 400, dark=dark)


def _keep(page: Page, name: str, width: int, *, dark: bool) -> None:
    picture = ALL / f"{name}-{width}{'-dark' if dark else ''}.png"
    if width == 400:
        height = page.locator("#rendered_cells").evaluate("cells => cells.scrollHeight")
        page.set_viewport_size({"width": width, "height": height})
        page.screenshot(path=picture, full_page=True)
    else:
        page.locator(".jp-CodeCell").last.screenshot(path=picture)
    if picture.stem in IN_DOCS:
        shutil.copy(picture, SHOWN)
    print(picture.relative_to(ROOT), flush=True)


def main() -> int:
    """Take all pictures, or say what is missing."""
    if CHROMIUM is None:
        print("pictures: Chromium is not here; install it with: apt-get install chromium", file=sys.stderr)
        return 1
    ALL.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        take_wide(browser)
        take_narrow(browser)
    return 0


if __name__ == "__main__":
    sys.exit(main())

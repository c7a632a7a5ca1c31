"""What the browser tests of the monitor share: what is found on the page, and events to be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from tests.servers import HubProcess


def connecting(server: HubProcess) -> str:
    """A cell that connects to a hub, anew each time it is run."""
    return (
        "import hercle_nb as hercle\n"
        "if 'hub' in globals():\n    hub.close()\n"
        f"hub = hercle.connect(url={server.url!r}, api_key={server.key!r}, journal=False)"
    )


def region(page: Page) -> Locator:
    """The monitor."""
    return page.get_by_role("region", name="Hub events")


def connected(page: Page) -> None:
    """Wait for the monitor and its first row."""
    from playwright.sync_api import expect

    expect(region(page).get_by_role("status")).to_have_text("Connected", timeout=60_000)
    expect(region(page).get_by_role("button", name="Row 0", exact=True)).to_be_visible(timeout=10_000)


def button(page: Page, name: str) -> Locator:
    """A button of the monitor."""
    return region(page).get_by_role("button", name=name, exact=True)


def push(simulator: HubProcess, count: int, **options: Any) -> None:
    """Have events sent."""
    simulator.post("push", {"count": count, **options})


def shown(page: Page) -> dict[str, Any]:
    """The rows drawn at present, and where the table stands."""
    return region(page).evaluate(
        """region => {
            const rows = [...region.querySelectorAll('tbody tr:not(.hn-space)')];
            const scroll = region.querySelector('.hn-scroll');
            return {
                seqs: rows.map(row => Number(row.cells[0].textContent)),
                cells: rows.map(row => [...row.cells].map(cell => cell.textContent)),
                heights: rows.map(row => row.getBoundingClientRect().height),
                atEnd: scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 2,
                width: region.getBoundingClientRect().width,
            };
        }"""
    )

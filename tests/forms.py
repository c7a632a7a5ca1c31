"""What the browser tests of the form share: the cells, and what is found on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.browser import run

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from tests.servers import HubProcess

_PHASE = """
def phase():
    import threading
    from hercle_nb.widgets import _interface
    done = threading.Event()
    _interface.post(done.set)
    assert done.wait(5)
    return form._face.phase
"""
FORM = "form = hub.form()\nform"
LABELS = ["Amount", "Unit", "Memo", "Expiry", "ClientId"]
CALM = 450  # milliseconds after a step of the form in which Enter does nothing, and some more


def connecting(server: HubProcess) -> str:
    """A cell that connects to a hub, anew each time it is run."""
    return (
        "import hercle_nb as hercle\n"
        "if 'hub' in globals():\n    form.close()\n    hub.close()\n"
        f"hub = hercle.connect(url={server.url!r}, api_key={server.key!r}, journal=False)\n"
        f"{_PHASE}"
    )


def region(page: Page) -> Locator:
    """The form, with its card."""
    return page.get_by_role("region", name="New invoice")


def field(page: Page, label: str) -> Locator:
    """A field; using it fails unless there is exactly one of that name."""
    return region(page).get_by_label(label)


def button(page: Page, name: str) -> Locator:
    """A button."""
    return region(page).get_by_role("button", name=name, exact=True)


def badge(page: Page) -> Locator:
    """What says how the connection is."""
    return region(page).locator(".hn-badge")


def card(page: Page) -> Locator:
    """The card of the invoice made."""
    return region(page).locator(".hn-card")


def problem(page: Page, label: str) -> Locator:
    """What is said to be wrong with a field."""
    return region(page).locator(".hn-row", has=page.get_by_label(label)).locator(".hn-problem")


def ready(page: Page) -> None:
    """Wait for the form."""
    from playwright.sync_api import expect

    expect(badge(page)).to_have_text("Connected", timeout=60_000)


def phase(page: Page) -> str:
    """How far the kernel is with the creation, once it has taken in all that the page has told it."""
    return run(page, "phase()").strip("'")


def busy(page: Page, code: str) -> None:
    """Have the kernel compute; ``window.busy`` says whether it still does."""
    page.evaluate(
        """code => {
            const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            window.busy = true;
            kernel.requestExecute({code}).done.finally(() => { window.busy = false; });
        }""",
        code,
    )


def create(page: Page) -> None:
    """Press the button."""
    button(page, "Create invoice").click()


def insist(page: Page) -> None:
    """Press the button though it is disabled."""
    from playwright.sync_api import expect

    expect(button(page, "Create invoice")).to_have_attribute("aria-disabled", "true")
    button(page, "Create invoice").click(force=True)


def in_vain(page: Page, simulator: HubProcess, label: str) -> None:
    """Press Enter in a field, and the button, and see that nothing came of it."""
    insist(page)
    field(page, label).press("Enter")
    assert phase(page) == "draft"
    assert simulator.created() == 0

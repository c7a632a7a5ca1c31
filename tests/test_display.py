"""The pieces of cards, and how hubs show themselves."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hercle_nb import display
from tests.cards import MEMOS, Page

HOSTILE = """<script>alert(1)</script>"'&\u202e\n"""
MARKED = """<script>alert(1)</script>"'&⟨U+202E⟩⟨U+000A⟩"""


def a_hub(**changes: Any) -> Any:
    """Return what a hub shows of itself, with some of it changed."""
    stats = {"events": 1_000, "events_dropped": 0, "callback_drops": 0, "last_error": None}
    hub = {"environment": "sandbox", "state": "connected", "url": "https://hub.example/v1"}
    book = SimpleNamespace(
        creations={
            "a": SimpleNamespace(invoice=1, remembered=False),
            "b": SimpleNamespace(invoice=None, remembered=False),
            "c": SimpleNamespace(invoice=1, remembered=True),
        },
        unresolved=list,
    )
    memory = changes.pop("memory", SimpleNamespace(journal=None))
    return SimpleNamespace(
        **{
            **hub,
            "stats": stats | changes.pop("stats", {}),
            "_core": SimpleNamespace(book=book, memory=memory),
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Payment for services, für zwei 100\u202f000", "Payment for services, für zwei 100\u202f000"),
        ("a\tb\r\n\x00\x1b\x7f\x85", "a⟨U+0009⟩b⟨U+000D⟩⟨U+000A⟩⟨U+0000⟩⟨U+001B⟩⟨U+007F⟩⟨U+0085⟩"),
        ("\u202a\u202e\u2066\u2069\u200e\u061c", "⟨U+202A⟩⟨U+202E⟩⟨U+2066⟩⟨U+2069⟩⟨U+200E⟩⟨U+061C⟩"),
        ("👩\u200d👩🏽\u200d👧 ❤\ufe0f\u200d🔥", "👩\u200d👩🏽\u200d👧 ❤\ufe0f\u200d🔥"),
        ("a\u200d👧 👩\u200d", "a⟨U+200D⟩👧 👩⟨U+200D⟩"),
        ("\u200b\u200d\u2060\ufeff\u00ad", "⟨U+200B⟩⟨U+200D⟩⟨U+2060⟩⟨U+FEFF⟩⟨U+00AD⟩"),
        ("\u2028\u2029", "⟨U+2028⟩⟨U+2029⟩"),
        ("\u3164\u115f\uffa0\u2800\u034f", "⟨U+3164⟩⟨U+115F⟩⟨U+FFA0⟩⟨U+2800⟩⟨U+034F⟩"),
        ("\U000e0041\U000e0100\ufe00", "⟨U+E0041⟩⟨U+E0100⟩⟨U+FE00⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("❤\ufe0f ☎\ufe0e 日本　語 שלום", "❤\ufe0f ☎\ufe0e 日本　語 שלום"),
        ("e\u0301\u0302\u0303\u0304\u0305\u0306x\u0301", "e\u0301\u0302\u0303\u0304⟨U+0305⟩⟨U+0306⟩x\u0301"),
    ],
)
def test_what_cannot_be_seen_is_marked(text: str, shown: str) -> None:
    """Controls, direction marks, blanks and floods of accents become marks; all that has a shape stays."""
    assert display.visible(text) == shown


@given(st.text())
def test_visible_text_is_one_line(text: str) -> None:
    """No line end, control or direction mark is left of any text, and it can be encoded."""
    shown = display.visible(text)
    assert len(shown.splitlines()) <= 1
    assert not {unicodedata.category(letter) for letter in shown} & {"Cc", "Cf", "Cs"}
    shown.encode()


def test_long_texts_are_cut() -> None:
    """Of a text that is too long the beginning is shown, and how long it is."""
    assert display.visible("x" * 1_000) == "x" * 1_000
    assert display.visible("x" * 12_345) == "x" * 1_000 + "… (12,345 characters)"


@pytest.mark.parametrize("text", [*MEMOS, HOSTILE])
@pytest.mark.parametrize("piece", [display.outside, display.code, lambda text: display.warnings([text])])
def test_text_from_outside_stays_text(piece: Any, text: str) -> None:
    """Each piece that takes a text from outside shows it as it is, in one element."""
    page = Page(piece(text))
    assert page.text.removeprefix("⚠ ") == display.visible(text)
    assert len(page.tags) == 1


def test_text_from_outside_is_isolated() -> None:
    """A memo, key or id takes its direction from itself and lends it to nobody."""
    assert 'dir="auto"' in display.outside("שלום")
    assert 'dir="auto"' in display.code("שלום")


@pytest.mark.parametrize(
    ("amount_msat", "text", "heading"),
    [
        (100_000_000, "0.00100000 BTC = 100\u202f000 sat", "0.00100000 BTC 100\u202f000 sat"),
        (1, "0.00000000001 BTC = 0.001 sat", "0.00000000001 BTC 0.001 sat"),
        (None, "any amount", "Any amount the payer chooses it"),
    ],
)
def test_amounts(amount_msat: int | None, text: str, heading: str) -> None:
    """An amount is shown in both units, and none as any."""
    assert display.amount_text(amount_msat) == text
    assert Page(display.amount_heading(amount_msat)).text == heading


def test_times_and_networks() -> None:
    """Times are absolute and say UTC; a network has its name beside its code."""
    assert display.time_text(datetime(2026, 11, 24, 12, tzinfo=UTC)) == "2026-11-24 12:00:00 UTC"
    assert [display.network_text(code) for code in ("bc", "tb", "tbs", "bcrt")] == [
        *("mainnet (bc)", "testnet (tb)", "signet (tbs)", "regtest (bcrt)")
    ]


def test_few() -> None:
    """Up to the limit all are shown, beyond it the number of the others."""
    assert display.few("abc", 3) == ["a", "b", "c"]
    assert display.few("x" * 1_003, 2) == ["x", "x", "and 1,001 others"]


def test_hub() -> None:
    """A hub shows environment, state, URL and counts, as text and as HTML."""
    assert display.hub_text(a_hub()).splitlines() == [
        "Hercle hub, sandbox: connected, https://hub.example/v1",
        "  1,000 events, 1 invoice created",
        "  No journal: when this kernel ends, it forgets.",
    ]
    page = Page(display.hub_card(a_hub()))
    for text in (
        "Hercle hub sandbox",
        "● connected",
        "URL https://hub.example/v1",
        "1,000 events, 1 invoice",
    ):
        assert text in page.text


def test_hub_says_where_its_journal_is() -> None:
    """With a journal a hub shows its place, what earlier kernels left open and what is wrong, a line each."""
    journal = SimpleNamespace(place="~/sandbox.sqlite3")
    told = SimpleNamespace(journal=journal, report="1 command …: 1 found out", trouble="the disk is full")
    lines = display.hub_text(a_hub(memory=told)).splitlines()
    assert lines[2:] == ["  Journal: ~/sandbox.sqlite3", "  1 command …: 1 found out", "  the disk is full"]
    page = Page(display.hub_card(a_hub(memory=told)))
    assert "Journal ~/sandbox.sqlite3" in page.text
    assert all(line.strip() in page.text for line in lines[3:])


def test_hub_says_what_is_unresolved() -> None:
    """Commands of unknown outcome are counted, with the place to look."""
    hub = a_hub()
    hub._core.book.unresolved = lambda: [1, 2]
    assert "1 invoice created, 2 of unknown outcome (see hub.unresolved)" in display.hub_text(hub)


def test_hub_says_what_is_missing() -> None:
    """Rows that were evicted, and those that callbacks never saw, are counted."""
    text = display.hub_text(a_hub(stats={"events_dropped": 2_000, "callback_drops": 3}))
    assert "2,000 older rows evicted, 3 evicted before slow callbacks saw them" in text


def test_simulator_says_so() -> None:
    """The simulator says that nobody can pay its invoices; other hubs do not."""
    simulator = a_hub(environment="simulator")
    assert "nobody can pay them" in display.hub_text(simulator)
    assert "nobody can pay them" in Page(display.hub_card(simulator)).text
    assert "nobody" not in display.hub_text(a_hub()) + display.hub_card(a_hub())


def test_last_error_of_a_hub() -> None:
    """The last error, which may hold the hub's words, stays one line of text."""
    hub = a_hub(stats={"last_error": HOSTILE})
    assert display.hub_text(hub).splitlines()[-1] == f"  {MARKED}"
    assert f"⚠ {MARKED}" in Page(display.hub_card(hub)).text
    assert "⚠" not in display.hub_card(a_hub())

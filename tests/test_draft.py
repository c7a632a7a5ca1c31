"""The fields of the form, without a form: what is wrong with them, and what they ask for."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hercle_nb as hercle
from hercle_nb.errors import InvalidRequest
from hercle_nb.invoice_request import InvoiceRequest
from hercle_nb.widgets._draft import BTC, CUSTOM, DEFAULT, EXPIRIES, SAT, Draft

EXAMPLE = Draft(amount="0.001", memo="Coffee")
PLAIN = "type digits with at most one point, such as 0.001"
WHOLE = "An amount in satoshis is a whole number"
EXIST = "is more than the 21,000,000 BTC that will ever exist"
HOURS = "The expiry must be a whole number of hours from 1 to 720"
CLIENT_ID = "The ClientId must be 1 to 36 printable ASCII characters without spaces; this one"


@pytest.mark.parametrize(
    ("unit", "amount", "says"),
    [
        (BTC, "", "Type an amount, such as 0.001."),
        (BTC, " \t", "Type an amount, such as 0.001."),
        (BTC, "0", "An amount must be more than 0 BTC, not 0."),
        (BTC, "0.000", "An amount must be more than 0 BTC, not 0.000."),
        (BTC, "0,001", f"'0,001' is not a plain decimal number; {PLAIN}."),
        (BTC, "-1", "An amount must be more than 0, not '-1'; type it without the sign."),
        (SAT, "-5", "An amount must be more than 0, not '-5'; type it without the sign."),
        (BTC, "1e3", f"'1e3' is not a plain decimal number; {PLAIN}."),
        (BTC, "1.", f"1. is not a plain decimal number; {PLAIN}."),
        (BTC, "<b>", f"'<b>' is not a plain decimal number; {PLAIN}."),
        (BTC, "١", f"'١' is not a plain decimal number; {PLAIN}."),
        (
            BTC,
            "100000000",
            f"100000000 BTC {EXIST}; if you meant satoshis, choose sat as the unit and type it again.",
        ),
        (BTC, "21000000.5", f"21000000.5 BTC {EXIST}."),
        (BTC, "0.000000001", "0.000000001 BTC is 0.1 sat, finer than one satoshi; type 0.00000001."),
        (BTC, "0.0010000049", "0.0010000049 BTC is 100\u202f000.49 sat, finer than one satoshi; type 0.001."),
        (
            BTC,
            "0.000000010001",
            "0.000000010001 BTC is finer than one millisatoshi (11 places); type 0.00000001.",
        ),
        (SAT, "", "Type an amount, such as 100000."),
        (SAT, "0", "An amount must be at least 1 sat, not 0."),
        (SAT, "0.5", f"{WHOLE}, not '0.5'; type digits alone, such as 100000."),
        (SAT, "5.5", f"{WHOLE}, not '5.5'; type digits alone, such as 100000."),
        (SAT, "25,00", f"{WHOLE}, not '25,00'; type digits alone, such as 100000."),
        (SAT, "100.000", "'100.000' is 100 or 100 thousand; type 100 or 100000."),
        (SAT, "1,250", "'1,250' is 1.25 or 1250; type 1250, or round 1.25 yourself."),
        (SAT, "1 000", "'1 000' holds marks between its digits; type 1000."),
        (BTC, "1,000", "'1,000' is 1 or 1 thousand; type 1 or 1000."),
        (SAT, "2100000000000001", f"2100000000000001 sat {EXIST}."),
        (SAT, "9" * 25, f"{'9' * 25} sat {EXIST}."),
        ("EUR", "5", "The unit must be BTC or sat."),
    ],
)
def test_amount(unit: str, amount: str, says: str) -> None:
    """A wrong amount is told in one sentence that says what to type."""
    draft = Draft(amount=amount, unit=unit)
    assert draft.problems() == {"amount": says}
    with pytest.raises(InvalidRequest):
        draft.request("made")


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        (
            {"memo": "two\nlines"},
            "memo",
            "The memo holds a control character, U+000A at position 3 (the first is 0); "
            "leave it out or write a space.",
        ),
        (
            {"memo": "\u202eBTC"},
            "memo",
            "The memo holds a mark that turns the direction of text, U+202E at position 0 (the first is 0); "
            "leave it out.",
        ),
        (
            {"memo": "\ud83d"},
            "memo",
            "The memo holds half a character, U+D83D at position 0 (the first is 0); type it again.",
        ),
        (
            {"memo": "ü" * 320},
            "memo",
            "The memo has 640 bytes of UTF-8; at most 639 fit into a payment request, "
            "so shorten it by 1 byte.",
        ),
        ({"expiry": CUSTOM}, "hours", f"{HOURS}."),
        ({"expiry": CUSTOM, "hours": "0"}, "hours", f"{HOURS}, not '0'."),
        ({"expiry": CUSTOM, "hours": "721"}, "hours", f"{HOURS}, not '721'."),
        ({"expiry": CUSTOM, "hours": "1.5"}, "hours", f"{HOURS}, not '1.5'."),
        ({"expiry": CUSTOM, "hours": "9" * 25}, "hours", f"{HOURS}, not '{'9' * 25}'."),
        ({"expiry": CUSTOM, "hours": "24,0"}, "hours", f"{HOURS}, not '24,0'."),
        ({"expiry": CUSTOM, "hours": "24.000"}, "hours", "'24.000' is 24 or 24 thousand; type 24 or 24000."),
        ({"expiry": "forever"}, "hours", f"{HOURS}."),
        ({"client_id": "order 17"}, "client_id", f"{CLIENT_ID} holds ' ', U+0020."),
        ({"client_id": "größe"}, "client_id", f"{CLIENT_ID} holds 'ö', U+00F6."),
        ({"client_id": "x" * 37}, "client_id", f"{CLIENT_ID} has 37 characters."),
    ],
)
def test_other_fields(fields: dict[str, str], field: str, says: str) -> None:
    """Memo, expiry and ClientId are told likewise, each at its own field."""
    assert Draft(**{**EXAMPLE.fields(), **fields}).problems() == {field: says}


def test_every_field_at_once() -> None:
    """What is wrong in one field hides nothing that is wrong in another."""
    draft = Draft("x", BTC, "a\nb", CUSTOM, "x", "a b")
    assert list(draft.problems()) == ["amount", "memo", "hours", "client_id"]


ANY_TEXT = st.text(st.characters(), max_size=40)  # half characters as well
NUMBERS = st.from_regex(r" ?[0-9]{0,21}(\.[0-9]{0,13})? ?", fullmatch=True)
DRAFTS = st.builds(
    Draft,
    amount=st.one_of(ANY_TEXT, NUMBERS, st.integers(-1, 10**16).map(str)),
    unit=st.sampled_from([BTC, SAT]),
    memo=st.one_of(ANY_TEXT, st.text("aé👍", min_size=150)),
    expiry=st.sampled_from(list(EXPIRIES)),
    hours=st.one_of(ANY_TEXT, NUMBERS, st.integers(-1, 722).map(str)),
    client_id=st.one_of(ANY_TEXT, st.text("ab-", max_size=40)),
)


def refused(**arguments: Any) -> bool:
    """Whether a request would be refused for one of these arguments."""
    try:
        InvoiceRequest(**({"amount_sat": 1} | arguments))
    except InvalidRequest:
        return True
    return False


def number(text: str) -> int | str:
    """What a user means by digits in a field."""
    match = re.fullmatch(r"([0-9]{1,30})(\.0|\.00)?", text.strip())
    return int(match[1]) if match else text.strip()


@given(DRAFTS)
def test_agrees_with_the_request(draft: Draft) -> None:
    """A field has a problem exactly if a request would be refused for what stands in it."""
    amount = {"amount_sat": number(draft.amount)}
    if draft.unit == BTC:
        amount = {"amount_sat": None, "amount_btc": draft.amount.strip()}  # type: ignore[dict-item]
    hours = None if draft.expiry == DEFAULT else draft.hours if draft.expiry == CUSTOM else draft.expiry
    wrong = {
        "amount": refused(**amount),
        "memo": refused(memo=draft.memo),
        "hours": refused(expiry_hours=None if hours is None else number(hours)),
        "client_id": refused(client_id=draft.client_id or None),
    }
    problems = draft.problems()
    assert set(problems) == {field for field, is_wrong in wrong.items() if is_wrong}
    assert all(re.fullmatch(r"[^\n]*[^.]\.", text) for text in problems.values())
    if problems:
        with pytest.raises(InvalidRequest):
            draft.request("made")
    else:
        assert draft.request("made").client_id == (draft.client_id or "made")


@pytest.mark.parametrize(
    ("draft", "asks"),
    [
        (EXAMPLE, InvoiceRequest("0.001", "Coffee", 24, "made")),
        (Draft(" 100000 ", SAT, expiry=DEFAULT), InvoiceRequest("0.001", None, None, "made")),
        (Draft("0.1", client_id="mine"), InvoiceRequest("0.1", None, 24, "mine")),
        (Draft("100000.0", SAT, "", CUSTOM, "5.00"), InvoiceRequest("0.001", None, 5, "made")),
        (Draft("1", SAT, "", CUSTOM, " 5 "), InvoiceRequest("0.00000001", None, 5, "made")),
        (Draft("1", SAT, "", "720", "5"), InvoiceRequest("0.00000001", None, 720, "made")),
    ],
)
def test_request(draft: Draft, asks: InvoiceRequest) -> None:
    """The fields ask for what they say: an empty memo is none, and hours count only where they are shown."""
    assert draft.problems() == {}
    assert draft.request("made") == asks


class Cell:
    """A hub that only notes what a cell asks of it."""

    def create_invoice(
        self,
        amount_btc: Any = None,
        memo: str | None = None,
        expiry_hours: int | None = None,
        *,
        amount_sat: int | None = None,
        client_id: str | None = None,
    ) -> InvoiceRequest:
        """Note it."""
        return InvoiceRequest(amount_btc, memo, expiry_hours, client_id, amount_sat=amount_sat)


@given(
    memo=st.one_of(st.text(max_size=60), st.text("'\"\\n{}é\u0301👍\u2028", max_size=20)),
    sat=st.integers(1, 21 * 10**14),
    unit=st.sampled_from([BTC, SAT]),
    hours=st.sampled_from([*EXPIRIES, "5"]),
    client_id=st.sampled_from(["", "it's", '"', "\\"]),
)
def test_code(memo: str, sat: int, unit: str, hours: str, client_id: str) -> None:
    """A cell with the code asks for exactly what the form would, under the same ClientId."""
    asked = {"memo": memo, "amount_sat": sat, "client_id": client_id or None}
    if refused(**asked):
        return
    amount = str(sat) if unit == SAT else f"{hercle.InvoiceRequest(amount_sat=sat).amount_btc:f}"
    expiry = CUSTOM if hours == "5" else hours
    draft = Draft(amount, unit, memo, expiry, "5", client_id)
    lines = draft.code("made").split("\n")
    assert lines[1:] == ["invoice"]
    names: dict[str, Any] = {"hub": Cell()}
    exec(lines[0], names)  # noqa: S102  # a cell is code
    assert names["invoice"] == draft.request("made")


def test_code_reads_well() -> None:
    """The code holds what was given, in the unit it was given in, and nothing else."""
    assert EXAMPLE.code("made").splitlines()[0] == (
        "invoice = hub.create_invoice(\"0.001\", memo='Coffee', expiry_hours=24, client_id='made')"
    )
    assert Draft("100000", SAT, expiry=DEFAULT, client_id="mine").code("made").splitlines()[0] == (
        "invoice = hub.create_invoice(amount_sat=100_000, client_id='mine')"
    )
    with pytest.raises(InvalidRequest):
        Draft().code("made")


@pytest.mark.parametrize(
    ("defaults", "draft"),
    [
        ((None, None, None, 24, None), Draft()),
        (("0.0010", None, "Coffee", 24, "mine"), Draft("0.001", BTC, "Coffee", "24", "", "mine")),
        ((0.001, None, None, None, None), Draft("0.001", BTC, "", DEFAULT)),
        ((None, 5, None, 5, None), Draft("5", SAT, "", CUSTOM, "5")),
        ((None, None, None, 720.0, None), Draft(expiry="720")),
    ],
)
def test_defaults(defaults: tuple[Any, ...], draft: Draft) -> None:
    """What a cell gives stands in the fields: in its unit, and other hours than the usual as a number."""
    assert Draft.with_defaults(*defaults) == draft


@pytest.mark.parametrize(
    "defaults",
    [
        (0.1 + 0.2, None, None, 24, None),
        ("0.001", 5, None, 24, None),
        (None, 0, None, 24, None),
        (None, None, "a\nb", 24, None),
        (None, None, None, 0, None),
        (None, None, None, 24, "a b"),
    ],
)
def test_bad_defaults(defaults: tuple[Any, ...]) -> None:
    """A default is checked as any request is."""
    with pytest.raises(InvalidRequest):
        Draft.with_defaults(*defaults)


@pytest.mark.parametrize("fields", [None, 7, "amount", ["amount"], {}, {"amount": 5, "unit": None}])
def test_hostile_fields(fields: Any) -> None:
    """What is no text from a browser counts as empty, never as some value, so nothing can be sent for it."""
    draft = Draft.of(fields)
    assert set(draft.fields().values()) == {""}
    assert "amount" in draft.problems()


def test_fields_there_and_back() -> None:
    """The fields survive the way to a browser and back; names that there are not are left out."""
    draft = Draft("0.1", SAT, "Coffee", CUSTOM, "5", "mine")
    assert Draft.of({**draft.fields(), "limit": "1"}) == draft


def test_no_unit_is_no_amount() -> None:
    """Without a unit no amount is read into a number."""
    assert Draft.of({"amount": "5", "expiry": "24"}).problems() == {"amount": "The unit must be BTC or sat."}

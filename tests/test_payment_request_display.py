"""How payment requests show themselves: every field, in bounded text and in HTML with coloured raw parts."""

from __future__ import annotations

import colorsys
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbconvert.filters import clean_html

from hercle_nb import _bech32, _bolt11_fields, _bolt11_parts, bolt11, bolt11_encode
from hercle_nb.bolt11 import PaymentRequest, decode_payment_request
from hercle_nb.display import time_text, visible
from tests.answers import NOW, pay_to
from tests.cards import MEMOS, Page

DOCUMENT = json.loads((Path(__file__).parent / "bolt11_vectors.json").read_text(encoding="utf-8"))
VECTORS: list[dict[str, Any]] = [v for v in DOCUMENT["vectors"] if v["kind"] == "valid"]
HASH = bytes(range(32))


def taken_apart(**changes: Any) -> PaymentRequest:
    """Return a payment request of now, some arguments changed, as it decodes."""
    return decode_payment_request(pay_to(**changes))


def with_fields(*fields: tuple[str, bytes], without: str = "") -> PaymentRequest:
    """Return a payment request with further fields, right or wrong, and without some that are needed."""
    needed = [("p", _bech32.from_octets(HASH)), ("s", _bech32.from_octets(HASH)), ("d", b"")]
    written = [_bolt11_fields.write(*field) for field in (*needed, *fields) if field[0] not in without]
    groups = _bech32.from_number(int(NOW.timestamp()), 7) + b"".join(written)
    return decode_payment_request(bolt11_encode.seal("lnbcrt10n", groups, 7))


def page_of(request: PaymentRequest) -> Page:
    """Return a payment request's card as a browser sees it."""
    return Page(request._repr_html_())


def test_text() -> None:
    """The text shows network, amount, description, payability, times, payee, hash, features and itself."""
    request = taken_apart()
    expires, created = time_text(request.expires_at), time_text(request.created_at)
    assert repr(request).splitlines() == [
        "PaymentRequest on regtest (bcrt): 0.00100000 BTC = 100\u202f000 sat, 'Payment for services'",
        f"  payable, expires {expires}, created {created}",
        f"  payee key {request.payee}",
        f"  payment hash {request.payment_hash}",
        "  features 8, 14, final CLTV 18 blocks by default",
        f"  {request.payment_request}",
    ]


def test_text_of_what_is_rare() -> None:
    """A hash instead of a description, no amount, no features and a CLTV of its own are told."""
    request = taken_apart(
        amount_msat=None,
        description=None,
        description_hash=HASH,
        feature_bits=(),
        min_final_cltv_expiry=1_440,
    )
    text = repr(request)
    assert f": any amount, description hash {HASH.hex()}\n" in text
    assert "  no features, final CLTV 1,440 blocks\n" in text


def test_text_counts_what_is_long() -> None:
    """Route hints, fallbacks and metadata are counted in the text."""
    hop, address = _bech32.from_octets(bytes(51)), b"\x11" + _bech32.from_octets(bytes(20))
    request = with_fields(("r", hop), ("r", hop), ("f", address), ("m", _bech32.from_octets(bytes(600))))
    assert "default, 2 route hints, 1 on-chain fallback, metadata of 600 bytes\n" in repr(request)


def test_text_does_not_flood() -> None:
    """However much a payment request holds, its text is short, and says what it leaves out."""
    fields = [("t", b"")] * 900
    request = with_fields(("9", b"\x1f" * 1023), ("x", b"\x1f" * 1023), *fields)
    lines = repr(request).splitlines()
    assert len(lines) < 15
    assert max(map(len, lines)) < 1_000
    assert "  features 0, 1, 2, 3, 4, 5, 6, 7, and 5,107 others, " in repr(request)
    assert "  WARNING: and 897 others" in lines
    assert lines[-1].endswith(f"… ({len(request.payment_request):,} characters)")


@pytest.mark.parametrize("memo", MEMOS)
def test_hostile_descriptions(memo: str) -> None:
    """Whatever a description holds, it stays in the first line of the text, and text in the card."""
    request = taken_apart(description=memo)
    first, *others = repr(request).splitlines()
    assert first.endswith(f", '{visible(memo, 200)}'")
    assert len(others) == 5
    html = request._repr_html_()
    assert f"Description {visible(memo)}Network" in Page(html).text
    assert Page(html).tags == page_of(taken_apart()).tags
    assert Page(clean_html(html)).text == Page(html).text


def test_card() -> None:
    """The card shows every field beside its name."""
    hops = bytes.fromhex("02" * 33) + bytes((0, 0, 1, 0, 0, 2, 0, 3, 0, 0, 3, 232, 0, 0, 0, 20, 0, 1))
    request = with_fields(
        ("r", _bech32.from_octets(hops * 2)),
        ("f", b"\x11" + _bech32.from_octets(bytes(20))),
        ("f", b"\x12" + _bech32.from_octets(bytes(20))),
        ("f", b"\x01" + _bech32.from_octets(bytes(32))),
        ("m", _bech32.from_octets(b"\xca\xfe")),
        ("9", _bech32.from_number(1 << 8 | 1 << 14 | 1 << 17 | 1 << 99)),
        ("x", _bech32.from_number(86_400)),
        ("c", _bech32.from_number(144)),
        ("p", b"\x00"),
        ("t", b""),
    )
    hop = f"{'02' * 33}, channel 1x2x3, base fee 1,000 msat, fee 20 ppm, CLTV delta 1 block"
    text = page_of(request).text
    for expected in (
        *("0.00000001 BTC 1 sat", f"✓ payable, expires {time_text(request.expires_at)}"),
        *("Description Network regtest (bcrt)", f"Created {time_text(NOW)}"),
        *(f"Expires {time_text(request.expires_at)} (after 86,400 s)", f"Payee key {request.payee}"),
        *(f"Payment hash {HASH.hex()}", f"Payment secret {HASH.hex()}", "Final CLTV 144 blocks"),
        "Features 8 var_onion_optin (required), 14 payment_secret (required), 17 basic_mpp (optional), "
        "99 unknown (optional)",
        *(f"Route hint 1, hop 1 {hop}", f"Route hint 1, hop 2 {hop}"),
        *(f"Fallback 1 P2PKH: {'00' * 20}", f"Fallback 2 P2SH: {'00' * 20}"),
        *(f"Fallback 3 witness version 1: {'00' * 32}", "Metadata cafe"),
        *("Skipped fields p (1 group), t (0 groups)", "⚠ A field p was skipped:", "⚠ A field t was skipped:"),
        f"Signature {request.signature} (recovery flag {request.recovery_flag})",
    ):
        assert expected in text


def test_card_of_what_is_missing() -> None:
    """What a payment request does not say is told as such, with what holds then."""
    request = taken_apart(
        amount_msat=None, description=None, description_hash=HASH, expiry=None, feature_bits=()
    )
    text = page_of(request).text
    for expected in (
        *("Any amount the payer chooses it", f"Description hash {HASH.hex()}", "Features none"),
        *("(after 3,600 s by default)", "Final CLTV 18 blocks by default"),
    ):
        assert expected in text
    assert not re.search("Route hint|Fallback|Metadata|Skipped|⚠", text)
    assert "Metadata empty" in page_of(with_fields(("m", b""))).text


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"][:40])
def test_card_of_every_vector(vector: dict[str, Any]) -> None:
    """Each valid vector's hashes, keys, hints and fallbacks are in its card, before and after a sanitiser."""
    html = decode_payment_request(vector["payment_request"])._repr_html_()
    text = Page(html).text
    expected = vector["expected"]
    values = [
        expected.get(key) for key in ("payment_hash", "payment_secret", "payee", "signature", "metadata")
    ]
    values += [hop["public_key"] for route in expected.get("route_hints") or [] for hop in route]
    values += [octets for _, octets in expected.get("fallbacks") or []]
    for value in filter(None, values):
        assert value in text
    clean = clean_html(html)
    assert "&lt;" not in clean
    assert Page(clean).text == text


def test_not_payable() -> None:
    """A payment request that no node pays says so and why, as text and as HTML."""
    request = with_fields(("9", _bech32.from_number(1 << 100)), without="s")
    reasons = ["It has no payment secret (field s)", "It requires features that BOLT 9 does not know"]
    assert "  not payable, expires" in repr(request)
    page = page_of(request)
    assert "✗ not payable, expires" in page.text
    assert "Payment secret none" in page.text
    for reason in reasons:
        assert f"  NOT PAYABLE: {reason}" in repr(request)
        assert f"⚠ {reason}" in page.text
    assert "NOT PAYABLE" not in repr(taken_apart())


def test_expired() -> None:
    """One that is past its expiry says that it is not payable any more, and since when."""
    request = taken_apart(timestamp=1_496_314_658, expiry=60)
    words = "not payable any more: expired 2017-06-01 10:58:38 UTC"
    assert f"  {words}, created 2017-06-01 10:57:38 UTC" in repr(request)
    assert f"⊘ {words}" in page_of(request).text
    assert "Expired 2017-06-01 10:58:38 UTC (after 60 s)" in page_of(request).text


def test_card_does_not_flood() -> None:
    """Hundreds of fields, addresses and features, and numbers of 5,115 bits, leave a card to be read."""
    fields = [("f", b"\x01" + bytes(4))] * 250 + [("t", b"")] * 900
    text = page_of(with_fields(("9", b"\x1f" * 1023), ("c", b"\x1f" * 1023), *fields)).text
    assert "99 unknown (optional), and 5,015 others" in text
    assert "Fallback 100 witness version 1" in text
    assert "Fallbacks and 150 others" in text
    assert "⚠ and 892 others" in text
    assert "t (0 groups), and 800 others" in text
    assert "Final CLTV absurdly many blocks (a number of 5,115 bits)" in text


def test_raw_parts_are_named() -> None:
    """Each part of the text has its name as a title, and once in the legend; one click selects the whole."""
    request = with_fields(("t", b""), ("t", b"\x01"))
    html = request._repr_html_()
    parts = _bolt11_parts.split(request.payment_request)
    assert Page(html).titles == [(part.name, part.text) for part in parts]
    legend = list(dict.fromkeys(part.name for part in parts))
    assert legend.count("unknown field (t)") == 1
    assert Page(html).text.endswith(request.payment_request + "".join(legend))
    assert re.search("user-select:all[^>]*><abbr ", html)


def test_raw_parts_differ_and_can_be_read() -> None:
    """Neighbouring parts have different tints, on which the page's text keeps a contrast of 4.5 to 1."""
    html = taken_apart()._repr_html_()
    hues = [int(hue) for hue in re.findall(r"<abbr [^>]*background:hsla\((\d+),90%,50%,\.25\)", html)]
    assert len(hues) == 11
    assert min(apart(a, b) for a, b in itertools.combinations(hues, 2)) > 30
    assert min(apart(a, b) for a, b in itertools.pairwise(hues)) > 90
    for hue in hues:
        for page, text, opacity in ((1.0, 0.0, 0.87), (17 / 255, 1.0, 0.87)):
            tint = colorsys.hls_to_rgb(hue / 360, 0.5, 0.9)
            behind = [page * 0.75 + part * 0.25 for part in tint]
            front = [part * (1 - opacity) + text * opacity for part in behind]
            lighter, darker = sorted((luminance(behind), luminance(front)), reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) > 4.5


def apart(one: int, other: int) -> int:
    """How many degrees lie between two hues."""
    return min((one - other) % 360, (other - one) % 360)


def luminance(colour: list[float]) -> float:
    """The relative luminance of a colour (WCAG 2)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


@given(st.lists(st.tuples(st.sampled_from("pshdnmfrxc9tq"), st.binary(max_size=60)), max_size=8))
@settings(max_examples=100, deadline=None)
def test_any_fields_can_be_shown(fields: list[tuple[str, bytes]]) -> None:
    """Whatever decodes shows itself, as text and as HTML that is whole after a sanitiser."""
    try:
        request = with_fields(*((kind, _bech32.from_octets(octets)) for kind, octets in fields))
    except bolt11.PaymentRequestError:
        return
    assert repr(request).startswith("PaymentRequest on regtest")
    html = request._repr_html_()
    assert Page(clean_html(html)).text == Page(html).text

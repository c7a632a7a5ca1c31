"""Payment requests: all vectors, round trips, and every field right and wrong."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hercle_nb import _bech32, _bolt11_fields, _secp256k1, bolt11, bolt11_encode
from hercle_nb.bolt11 import PaymentRequest, decode_payment_request
from hercle_nb.bolt11_encode import encode_payment_request
from hercle_nb.errors import PaymentRequestError

DOCUMENT = json.loads((Path(__file__).parent / "bolt11_vectors.json").read_text(encoding="utf-8"))
VECTORS: list[dict[str, Any]] = DOCUMENT["vectors"]
KEY = int(DOCUMENT["priv_key"], 16)
NOT_PAYABLE = {"missing_payment_secret", "unknown_feature"}
VALID = [vector for vector in VECTORS if vector["kind"] == "valid"]
REFUSED = [v for v in VECTORS if v["kind"] == "invalid" and v["expected_failure"] not in NOT_PAYABLE]
UNPAYABLE = [v for v in VECTORS if v["kind"] == "invalid" and v["expected_failure"] in NOT_PAYABLE]
CODES = {v["expected_failure"] for v in VECTORS if v["kind"] == "invalid"} - NOT_PAYABLE
CODES |= {"too_long", "not_text"}
REQUEST: str = VALID[1]["payment_request"]
HASH = bytes(range(32))


def name_of(vector: dict[str, Any]) -> str:
    """Return a vector's name as the test's id."""
    return str(vector["name"])[:40]


def encode(**changes: Any) -> str:
    """Return a small payment request with some arguments changed."""
    arguments: dict[str, Any] = {
        "currency": "bcrt",
        "amount_msat": 250_000_000,
        "timestamp": 1_800_000_000,
        "payment_hash": HASH,
        "payment_secret": HASH[::-1],
        "description": "1 cup coffee",
        "private_key": KEY,
    }
    return encode_payment_request(**(arguments | changes))


def seal(*fields: tuple[str, bytes], prefix: str = "lnbcrt10n", key: int = KEY) -> str:
    """Sign and seal any fields, right or wrong."""
    groups = _bech32.from_number(1_800_000_000, 7)
    return bolt11_encode.seal(
        prefix, groups + b"".join(_bolt11_fields.write(*field) for field in fields), key
    )


def basic(*without: str) -> list[tuple[str, bytes]]:
    """Return the fields that every payment request needs."""
    octets = (("p", HASH), ("s", HASH), ("d", b"tea"))
    return [(kind, _bech32.from_octets(value)) for kind, value in octets if kind not in without]


def code_of(text: Any) -> str:
    """Return the code with which a text is refused; the message must be short and say what to do."""
    with pytest.raises(PaymentRequestError) as caught:
        decode_payment_request(text)
    assert caught.value.code in CODES
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()
    return caught.value.code


@pytest.mark.parametrize("vector", VALID, ids=name_of)
def test_valid_vectors_decode_as_expected(vector: dict[str, Any]) -> None:
    """Every key of `expected` is equal, and the request is payable."""
    request = decode_payment_request(vector["payment_request"])
    for key, expected in vector["expected"].items():
        assert json.loads(json.dumps(getattr(request, key), default=dataclasses.asdict)) == expected, key
    assert request.payable
    assert request.payment_request == vector["payment_request"].lower()
    assert len(request.warnings) == len(request.ignored)


@pytest.mark.parametrize("vector", REFUSED, ids=name_of)
def test_invalid_vectors_are_refused_with_their_code(vector: dict[str, Any]) -> None:
    """The code is the vector's word."""
    assert code_of(vector["payment_request"]) == vector["expected_failure"]


@pytest.mark.parametrize("vector", UNPAYABLE, ids=name_of)
def test_vectors_without_secret_or_with_unknown_features_decode(vector: dict[str, Any]) -> None:
    """They are shown, as not payable, with a sentence that says why."""
    request = decode_payment_request(vector["payment_request"])
    assert not request.payable
    word = "payment secret" if vector["expected_failure"] == "missing_payment_secret" else "bits 100"
    assert word in " ".join(request.problems)


def test_all_vectors_are_used() -> None:
    """60 vectors, each in one of the three tests above."""
    assert len(VALID) + len(REFUSED) + len(UNPAYABLE) == 60


@pytest.mark.parametrize("index", [0, 1, 2, 3])
def test_official_examples_are_encoded_to_the_letter(index: int) -> None:
    """With the specification's key our encoder writes its examples, signature included."""
    expected = VALID[index]["expected"]
    digest = expected.get("description_hash")
    written = encode_payment_request(
        currency=expected["currency"],
        amount_msat=expected["amount_msat"],
        timestamp=expected["timestamp"],
        payment_hash=bytes.fromhex(expected["payment_hash"]),
        payment_secret=bytes.fromhex(expected["payment_secret"]),
        description=expected.get("description"),
        description_hash=bytes.fromhex(digest) if digest else None,
        expiry=expected["expiry"],
        private_key=KEY,
    )
    assert written == VALID[index]["payment_request"]


@given(
    currency=st.sampled_from(["bc", "tb", "tbs", "bcrt"]),
    amount_msat=st.one_of(
        st.none(),
        st.integers(1, bolt11.MAX_AMOUNT_MSAT),
        st.builds(lambda digit, power: digit * 10**power, st.integers(1, 21), st.integers(0, 17)),
    ),
    timestamp=st.integers(0, 2**35 - 1),
    description=st.text(max_size=639).filter(lambda text: len(text.encode()) <= 639),
    expiry=st.one_of(st.none(), st.integers(0, 2**64 - 1)),
    min_final_cltv_expiry=st.one_of(st.none(), st.integers(0, 2**32)),
    feature_bits=st.lists(st.integers(0, 300), unique=True).map(sorted),
    private_key=st.integers(1, _secp256k1.ORDER - 1),
)
@example("bc", bolt11.MAX_AMOUNT_MSAT, 0, "ナ" * 213, 2**64 - 1, 0, [], 1)
@settings(max_examples=250, deadline=None)
def test_what_is_encoded_decodes_to_the_same(
    currency: str,
    amount_msat: int | None,
    timestamp: int,
    description: str,
    expiry: int | None,
    min_final_cltv_expiry: int | None,
    feature_bits: list[int],
    private_key: int,
) -> None:
    """Every argument comes back, together with the key that signed."""
    request = decode_payment_request(
        encode(
            currency=currency,
            amount_msat=amount_msat,
            timestamp=timestamp,
            description=description,
            expiry=expiry,
            min_final_cltv_expiry=min_final_cltv_expiry,
            feature_bits=feature_bits,
            private_key=private_key,
        )
    )
    assert (request.currency, request.amount_msat, request.timestamp) == (currency, amount_msat, timestamp)
    assert (request.description, request.expiry) == (description, expiry)
    assert request.min_final_cltv_expiry == min_final_cltv_expiry
    assert request.feature_bits == tuple(feature_bits)
    assert (request.payment_hash, request.payment_secret) == (HASH.hex(), HASH[::-1].hex())
    assert request.payee == _secp256k1.public_key(private_key).hex()
    assert not request.warnings
    assert not request.ignored


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        ("0u", "bad_amount"),
        ("0", "bad_amount"),
        ("21000001", "bad_amount"),
        ("9" * 20, "bad_amount"),
        ("9" * 6000, "bad_amount"),
        ("12m3", "bad_amount"),
        ("1um", "bad_amount"),
        ("15p", "sub_msat"),
    ],
)
def test_impossible_amounts_are_refused(amount: str, code: str) -> None:
    """Zero, more than all bitcoin, and digits without end are no amounts."""
    assert code_of(seal(*basic(), prefix=f"lnbcrt{amount}")) == code


@pytest.mark.parametrize(
    ("amount_msat", "written"),
    [
        (1, "10p"),
        (10, "100p"),
        (100, "1n"),
        (1000, "10n"),
        (10**5, "1u"),
        (10**8, "1m"),
        (10**11, "1"),
        (10**14, "1000"),
        (bolt11.MAX_AMOUNT_MSAT, "21000000"),
        (None, ""),
    ],
)
def test_amounts_are_written_the_shortest_way(amount_msat: int | None, written: str) -> None:
    """The largest multiplier that fits is used."""
    assert encode(amount_msat=amount_msat).startswith(f"lnbcrt{written}1p")


def test_the_first_of_several_fields_counts() -> None:
    """Later ones of the same type, and unknown types, are skipped with a warning each."""
    later = [("d", _bech32.from_octets(b"coffee")), ("p", _bech32.from_octets(bytes(32))), ("t", b"\x01")]
    request = decode_payment_request(seal(*basic(), *later))
    assert (request.description, request.payment_hash) == ("tea", HASH.hex())
    assert request.ignored == (("d", 10), ("p", 52), ("t", 1))
    assert len(request.warnings) == 3
    assert request.payable


@pytest.mark.parametrize(
    "groups",
    [
        b"",
        b"\x13" + bytes(32),
        b"\x11" + bytes(30),
        b"\x00" + bytes(34),
        b"\x01" + bytes(2),
        b"\x01" + bytes(70),
    ],
)
def test_impossible_addresses_are_skipped(groups: bytes) -> None:
    """An on-chain address of an unknown version or a wrong length does not spoil the rest."""
    request = decode_payment_request(seal(*basic(), ("f", groups)))
    assert request.fallbacks == ()
    assert request.ignored == (("f", len(groups)),)


@pytest.mark.parametrize("length", [0, 1, 50, 52, 101])
def test_broken_route_hints_are_skipped(length: int) -> None:
    """A route hint that is no whole number of hops is skipped with a warning."""
    request = decode_payment_request(seal(*basic(), ("r", _bech32.from_octets(bytes(length)))))
    assert request.route_hints == ()
    assert "whole number of hops" in request.warnings[0]


@pytest.mark.parametrize(
    "key", [bytes(33), b"\x02" + bytes(31) + b"\x05", b"\x04" + HASH, b"\x03" + b"\xff" * 32]
)
def test_route_hints_off_the_curve_have_a_warning(key: bytes) -> None:
    """A hop whose public key is no point of the curve is shown, with a warning that names it."""
    right = _secp256k1.public_key(KEY) + bytes(18)
    hints = [("r", _bech32.from_octets(right)), ("r", _bech32.from_octets(right + key + bytes(18)))]
    request = decode_payment_request(seal(*basic(), *hints))
    assert [len(route) for route in request.route_hints] == [1, 2]
    assert request.warnings == (
        "Route hint 2, hop 2, leads nowhere: its public key is no point of the curve.",
    )
    assert request.payable
    assert request.ignored == ()


def test_taproot_addresses_off_the_curve_have_a_warning() -> None:
    """So has an on-chain address that nobody could spend from; another witness version may mean anything."""
    key, nothing = _secp256k1.public_key(KEY)[1:], bytes(31) + b"\x05"
    fields = [
        ("f", bytes((version,)) + _bech32.from_octets(program))
        for version, program in ((1, key), (1, nothing), (2, nothing), (1, nothing[:20]))
    ]
    request = decode_payment_request(seal(*basic(), *fields))
    assert len(request.fallbacks) == 4
    assert request.warnings == (
        "Nobody can spend what fallback 2 is paid: its key is no point of the curve.",
    )


@pytest.mark.parametrize("octets", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"tea\xf8\x88\x80\x80\x80"])
def test_a_description_that_is_no_utf8_is_refused(octets: bytes) -> None:
    """BOLT 11 demands valid UTF-8, surrogates excluded."""
    assert code_of(seal(*basic("d"), ("d", _bech32.from_octets(octets)))) == "description"


def test_a_description_and_a_hash_at_once_are_refused() -> None:
    """Exactly one of them may stand there."""
    assert code_of(seal(*basic(), ("h", _bech32.from_octets(HASH)))) == "description"


@pytest.mark.parametrize("kind", ["x", "c", "9"])
def test_numbers_with_leading_zeros_are_refused(kind: str) -> None:
    """Expiry, CLTV and features have no zero groups in front."""
    assert code_of(seal(*basic(), (kind, b"\x00\x1e"))) == "non_minimal"


def test_absurd_numbers_are_clamped() -> None:
    """An expiry of 5,115 bits is kept as it is and ends with the year 9999."""
    request = decode_payment_request(seal(*basic(), ("x", b"\x1f" * 1023), ("c", b"\x1f" * 1023)))
    assert request.expiry == request.min_final_cltv_expiry == 2**5115 - 1
    assert request.expires_at == datetime.max.replace(tzinfo=UTC)
    assert "PaymentRequest" in repr(request)


def test_absurdly_many_features_are_not_all_named() -> None:
    """1,023 groups full of features give one sentence of readable length."""
    request = decode_payment_request(seal(*basic(), ("9", b"\x1f" * 1023)))
    assert len(request.feature_bits) == 5115
    assert not request.payable
    assert all(len(problem) < 200 for problem in request.problems)


def test_times_are_aware() -> None:
    """Creation and expiry are UTC; 3,600 seconds where nothing is said."""
    request = decode_payment_request(encode())
    assert request.created_at == datetime(2027, 1, 15, 8, 0, tzinfo=UTC)
    assert request.expires_at == datetime(2027, 1, 15, 9, 0, tzinfo=UTC)
    assert (request.expiry_effective, request.min_final_cltv_expiry_effective) == (3600, 18)


def test_a_node_key_is_verified_against() -> None:
    """A right field n is the payee; another key, one off the curve and a wrong length are not."""
    key = _secp256k1.public_key(KEY)
    assert decode_payment_request(seal(*basic(), ("n", _bech32.from_octets(key)))).payee == key.hex()
    other = _bech32.from_octets(_secp256k1.public_key(2))
    assert code_of(seal(*basic(), ("n", other))) == "bad_signature"
    assert code_of(seal(*basic(), ("n", _bech32.from_octets(b"\x05" + key[1:])))) == "bad_signature"
    skipped = decode_payment_request(seal(*basic(), ("n", other[:52])))
    assert (skipped.payee, skipped.ignored) == (key.hex(), (("n", 52),))


def test_a_payment_request_without_secret_is_not_payable() -> None:
    """It decodes and says so."""
    request = decode_payment_request(seal(*basic("s")))
    assert request.payment_secret is None
    assert not request.payable


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_payment_secret_of_a_wrong_length_is_none(length: int) -> None:
    """Alone it makes the request not payable, and it is said why; beside a right one it is skipped."""
    wrong = ("s", _bech32.from_octets(bytes(length)))
    request = decode_payment_request(seal(*basic("s"), wrong))
    assert (request.payment_secret, request.payable) == (None, False)
    (problem,) = request.problems
    assert "no payment secret of the right length (field s)" in problem
    for fields in ([*basic(), wrong], [wrong, *basic()]):
        assert decode_payment_request(seal(*fields)).payable


@pytest.mark.parametrize(("kind", "code"), [("p", "missing_payment_hash"), ("h", "description")])
@pytest.mark.parametrize("length", [0, 31, 33])
def test_other_required_fields_of_a_wrong_length_are_missing(kind: str, code: str, length: int) -> None:
    """A payment hash, or the hash that stands for the description, counts in its own length alone."""
    wrong = (kind, _bech32.from_octets(bytes(length)))
    assert code_of(seal(*basic("d" if kind == "h" else kind), wrong)) == code


def test_a_decoded_request_is_frozen_and_hashable() -> None:
    """Two readings are equal, hash alike and cannot be changed."""
    request = decode_payment_request(REQUEST)
    assert isinstance(request, PaymentRequest)
    assert {request, decode_payment_request(REQUEST.upper())} == {request}
    with pytest.raises(dataclasses.FrozenInstanceError):
        request.currency = "tb"  # type: ignore[misc]


@pytest.mark.parametrize(
    "changes",
    [
        {"currency": "ltc"},
        {"amount_msat": 0},
        {"amount_msat": -1},
        {"amount_msat": bolt11.MAX_AMOUNT_MSAT + 1},
        {"timestamp": -1},
        {"timestamp": 2**35},
        {"payment_hash": bytes(31)},
        {"payment_secret": bytes(33)},
        {"description": None},
        {"description_hash": HASH},
        {"description": None, "description_hash": bytes(31)},
        {"description": "x" * 640},
        {"description": "ナ" * 214},
        {"description": "\ud800"},
        {"expiry": -1},
        {"expiry": 2**64},
        {"min_final_cltv_expiry": -1},
        {"feature_bits": (-1,)},
        {"feature_bits": (5115,)},
        {"private_key": 0},
        {"private_key": _secp256k1.ORDER},
    ],
)
def test_arguments_out_of_range_are_not_encoded(changes: dict[str, Any]) -> None:
    """Each of them is a ValueError."""
    with pytest.raises(ValueError, match=r".+"):
        encode(**changes)

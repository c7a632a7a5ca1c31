"""The curve: known answers, and sign, recover and verify against each other."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hercle_nb import _secp256k1 as curve

KEYS = st.integers(1, curve.ORDER - 1)
DIGESTS = st.binary(min_size=32, max_size=32)
GENERATOR_X = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
DIGEST = hashlib.sha256(b"hercle").digest()


@pytest.mark.parametrize(
    ("message", "signature"),
    [
        (
            "Satoshi Nakamoto",
            "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8"
            "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5",
        ),
        (
            "All those moments will be lost in time, like tears in rain. Time to die...",
            "8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b"
            "547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21",
        ),
    ],
)
def test_nonces_are_those_of_rfc_6979(message: str, signature: str) -> None:
    """The signatures with key 1 that bitcointalk topic 285142 gives for RFC 6979 come out to the bit."""
    made, _ = curve.sign(hashlib.sha256(message.encode()).digest(), 1)
    assert made.hex() == signature


@pytest.mark.parametrize(
    ("private_key", "expected"),
    [
        (1, f"02{GENERATOR_X}"),
        (2, "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"),
        (3, "02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9"),
        (curve.ORDER - 1, f"03{GENERATOR_X}"),
    ],
)
def test_public_keys_are_known_multiples_of_the_generator(private_key: int, expected: str) -> None:
    """The smallest keys and the largest one give the well-known points."""
    assert curve.public_key(private_key).hex() == expected


@given(DIGESTS, KEYS)
@settings(max_examples=100, deadline=None)
def test_what_is_signed_recovers_and_verifies(digest: bytes, private_key: int) -> None:
    """A signature has a low S, leads back to its key and verifies with it, and with no other digest."""
    signature, recovery_id = curve.sign(digest, private_key)
    key = curve.public_key(private_key)
    assert not curve.is_high(int.from_bytes(signature[32:]))
    assert curve.recover(digest, signature, recovery_id) == key
    assert curve.verify(digest, signature, key)
    assert not curve.verify(bytes((digest[0] ^ 1,)) + digest[1:], signature, key)
    assert not curve.verify(digest, signature, curve.public_key(private_key % (curve.ORDER - 1) + 1))


@given(DIGESTS, KEYS)
@settings(max_examples=30, deadline=None)
def test_the_mirrored_signature_is_high_and_still_verifies(digest: bytes, private_key: int) -> None:
    """With S turned to its other half and the recovery id flipped, the same key comes out."""
    signature, recovery_id = curve.sign(digest, private_key)
    high = curve.ORDER - int.from_bytes(signature[32:])
    mirrored = signature[:32] + high.to_bytes(32)
    key = curve.public_key(private_key)
    assert curve.is_high(high)
    assert curve.verify(digest, mirrored, key)
    assert curve.recover(digest, mirrored, recovery_id ^ 1) == key


@given(st.one_of(st.sampled_from([0, 1, 2, curve.ORDER - 1, curve.ORDER // 2]), KEYS))
@settings(max_examples=100, deadline=None)
def test_both_ways_to_multiply_agree(factor: int) -> None:
    """The generator's table and the split signed windows give the same point."""
    by_table = curve._add_base(curve._INFINITY, factor)
    by_windows = curve._multiply(curve._GENERATOR, factor)
    assert (by_table[2] == 0) == (by_windows[2] == 0) == (factor == 0)
    if factor:
        assert curve._to_affine([by_table]) == curve._to_affine([by_windows])


@given(DIGESTS, st.binary(min_size=64, max_size=64), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_any_64_bytes_recover_a_key_that_verifies_or_none(digest: bytes, signature: bytes, flag: int) -> None:
    """What recovery makes of arbitrary bytes is a key that verifies them, or a ValueError."""
    try:
        key = curve.recover(digest, signature, flag)
    except ValueError:
        return
    assert curve.verify(digest, signature, key)


def test_a_signature_that_cancels_out_is_refused() -> None:
    """R and S chosen so that the sum is the point at infinity: no key recovers, and none verifies."""
    x = int(GENERATOR_X, 16)
    message = 12345
    signature = x.to_bytes(32) + message.to_bytes(32)
    with pytest.raises(ValueError, match="infinity"):
        curve.recover(message.to_bytes(32), signature, 0)
    key = curve.public_key(-message * pow(x, -1, curve.ORDER) % curve.ORDER)
    assert not curve.verify(message.to_bytes(32), signature, key)


@pytest.mark.parametrize("recovery_id", [-1, 4, 255])
def test_only_four_recovery_ids_exist(recovery_id: int) -> None:
    """Any other recovery id is refused."""
    signature, _ = curve.sign(DIGEST, 5)
    with pytest.raises(ValueError, match="recovery id"):
        curve.recover(DIGEST, signature, recovery_id)


def test_a_recovery_id_beyond_the_field_is_refused() -> None:
    """Ids 2 and 3 mean an x beyond the order, which almost no R allows."""
    signature, _ = curve.sign(DIGEST, 5)
    with pytest.raises(ValueError, match="field"):
        curve.recover(DIGEST, signature, 2)


@pytest.mark.parametrize("private_key", [-1, 0, curve.ORDER, curve.ORDER + 1])
def test_keys_out_of_range_are_refused(private_key: int) -> None:
    """A private key is 1 to the order minus 1."""
    with pytest.raises(ValueError, match="private key"):
        curve.sign(DIGEST, private_key)
    with pytest.raises(ValueError, match="private key"):
        curve.public_key(private_key)


def test_malformed_input_never_verifies() -> None:
    """Wrong lengths, a key off the curve and R or S out of range are False, not an exception."""
    signature, _ = curve.sign(DIGEST, 7)
    key = curve.public_key(7)
    assert curve.verify(DIGEST, signature, key)
    assert not curve.verify(DIGEST[:31], signature, key)
    assert not curve.verify(DIGEST, signature[:63], key)
    assert not curve.verify(DIGEST, bytes(64), key)
    assert not curve.verify(DIGEST, b"\xff" * 64, key)
    assert not curve.verify(DIGEST, signature, b"\x04" + key[1:])
    assert not curve.verify(DIGEST, signature, key[:32])
    assert not curve.verify(DIGEST, signature, b"\x02" + (5).to_bytes(32))
    assert not curve.verify(DIGEST, signature, b"\x02" + b"\xff" * 32)
    with pytest.raises(ValueError, match="digest"):
        curve.sign(DIGEST[:31], 7)

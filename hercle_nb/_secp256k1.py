"""ECDSA over secp256k1 with the standard library alone, as much as BOLT 11 needs.

Signing is for the simulator's throw-away node key only: Python's integers are not constant time, so
whoever can measure a signature may learn the key. Verification and recovery touch no secret.

Sources: SEC 1 version 2.0 (sections 4.1.3 to 4.1.6), SEC 2 (the curve), RFC 6979 (the nonce).
"""

from __future__ import annotations

import functools
import hmac
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Affine: TypeAlias = tuple[int, int]
Jacobian: TypeAlias = tuple[int, int, int]  # (x, y, z) stands for (x/z², y/z³); z = 0 is infinity

FIELD = 2**256 - 2**32 - 977
ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
_GENERATOR: Affine = (
    0x79BE667E_F9DCBBAC_55A06295_CE870B07_029BFCDB_2DCE28D9_59F2815B_16F81798,
    0x483ADA77_26A3C465_5DA4FBFC_0E1108A8_FD17B448_A6855419_9C47D08F_FB10D4B8,
)
_INFINITY: Jacobian = (0, 1, 0)
_HALF_BITS = 132  # the halves of a factor have 128 bits; a signed digit may carry into the next ones
_BETA = 0x7AE96A2B_657C0710_6E64479E_AC3434E9_9CF04975_12F58995_C1396C28_719501EE
_LATTICE_B1 = 0xE4437ED6_010E8828_6F547FA9_0ABFE4C3
_LATTICE_B2 = 0x3086D221_A7D46BCD_E86C90E4_9284EB15
_LATTICE_A2 = _LATTICE_B1 + _LATTICE_B2
_WINDOW = 5  # bits of a signed digit of any point's factor: 8 odd multiples
_BASE_WINDOW = 6  # bits of a digit of the generator's factor: 43 rows of 63 multiples


def sign(digest: bytes, private_key: int) -> tuple[bytes, int]:
    """Sign a digest with the nonce of RFC 6979 and a low S; not constant time.

    Args:
        digest: 32 bytes.
        private_key: 1 to the order of the group minus 1.

    Returns:
        R and S as 64 bytes, and the recovery id (0 to 3).

    Raises:
        ValueError: The digest is not 32 bytes long or the key is out of range.
    """
    _check_private_key(private_key)
    message = _message(digest)
    for nonce in _nonces(digest, private_key):
        [(x, y)] = _to_affine([_add_base(_INFINITY, nonce)])
        r = x % ORDER
        s = pow(nonce, -1, ORDER) * (message + r * private_key) % ORDER
        if r and s:
            break
    recovery_id = (y & 1) | (2 if x >= ORDER else 0)
    if is_high(s):
        s, recovery_id = ORDER - s, recovery_id ^ 1
    return r.to_bytes(32) + s.to_bytes(32), recovery_id


def recover(digest: bytes, signature: bytes, recovery_id: int) -> bytes:
    """Compute the public key whose owner made this signature, compressed to 33 bytes.

    Raises:
        ValueError: No key can have made it.
    """
    message = _message(digest)
    r, s = _numbers(signature)
    if not 0 <= recovery_id <= 3:
        raise ValueError(f"the recovery id is {recovery_id}; it is 0, 1, 2 or 3")
    nonce_point = _lift(r + (ORDER if recovery_id & 2 else 0), odd=bool(recovery_id & 1))
    inverse = pow(r, -1, ORDER)
    key = _add_base(_multiply(nonce_point, s * inverse % ORDER), -message * inverse % ORDER)
    if key[2] == 0:
        raise ValueError("the signature leads to the point at infinity, which is no public key")
    return _compress(key)


def verify(digest: bytes, signature: bytes, public_key: bytes) -> bool:
    """Tell whether the owner of a compressed public key signed a digest; high S counts as well.

    Whatever is malformed is no signature: the answer is False.
    """
    try:
        message = _message(digest)
        r, s = _numbers(signature)
        point = _decompress(public_key)
    except ValueError:
        return False
    inverse = pow(s, -1, ORDER)
    sum_point = _add_base(_multiply(point, r * inverse % ORDER), message * inverse % ORDER)
    if sum_point[2] == 0:
        return False
    [(x, _)] = _to_affine([sum_point])
    return x % ORDER == r


def public_key(private_key: int) -> bytes:
    """Derive the compressed public key (33 bytes).

    Raises:
        ValueError: The key is out of range.
    """
    _check_private_key(private_key)
    return _compress(_add_base(_INFINITY, private_key))


def is_public_key(key: bytes) -> bool:
    """Tell whether a compressed public key is a point of the curve."""
    try:
        _decompress(key)
    except ValueError:
        return False
    return True


def is_high(s: int) -> bool:
    """Tell whether S lies in the upper half, where a canonical signature has the other one."""
    return s > ORDER // 2


def _check_private_key(private_key: int) -> None:
    if not 1 <= private_key < ORDER:
        raise ValueError("the private key is outside 1 … order of the group - 1")


def _message(digest: bytes) -> int:
    if len(digest) != 32:
        raise ValueError(f"the digest has {len(digest)} bytes; it needs 32")
    return int.from_bytes(digest)


def _numbers(signature: bytes) -> tuple[int, int]:
    if len(signature) != 64:
        raise ValueError(f"the signature has {len(signature)} bytes; it needs 64")
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    if not (0 < r < ORDER and 0 < s < ORDER):
        raise ValueError("R or S is 0 or not below the order of the group")
    return r, s


def _nonces(digest: bytes, private_key: int) -> Iterator[int]:
    """Generate the candidates of RFC 6979, section 3.2, with HMAC-SHA256."""
    seed = private_key.to_bytes(32) + (int.from_bytes(digest) % ORDER).to_bytes(32)
    value, key = b"\x01" * 32, b"\x00" * 32
    for separator in (b"\x00", b"\x01"):
        key = hmac.digest(key, value + separator + seed, "sha256")
        value = hmac.digest(key, value, "sha256")
    while True:
        value = hmac.digest(key, value, "sha256")
        if 0 < (nonce := int.from_bytes(value)) < ORDER:
            yield nonce
        key = hmac.digest(key, value + b"\x00", "sha256")
        value = hmac.digest(key, value, "sha256")


def _lift(x: int, *, odd: bool) -> Affine:
    if x >= FIELD:
        raise ValueError("the x coordinate is not below the size of the field")
    square = (x * x * x + 7) % FIELD
    y = pow(square, (FIELD + 1) // 4, FIELD)
    if y * y % FIELD != square:
        raise ValueError("no point of the curve has this x coordinate")
    return (x, y if y & 1 == odd else FIELD - y)


def _decompress(key: bytes) -> Affine:
    if len(key) != 33 or key[0] not in (2, 3):
        raise ValueError("a compressed public key has 33 bytes and begins with 02 or 03")
    return _lift(int.from_bytes(key[1:]), odd=key[0] == 3)


def _compress(point: Jacobian) -> bytes:
    [(x, y)] = _to_affine([point])
    return bytes((2 + (y & 1),)) + x.to_bytes(32)


def _double(point: Jacobian) -> Jacobian:
    x, y, z = point
    yy = y * y % FIELD
    s = (x * yy % FIELD) << 2
    m = 3 * (x * x % FIELD)
    x3 = (m * m - 2 * s) % FIELD
    return x3, (m * (s - x3) - (yy * yy << 3)) % FIELD, (y * z << 1) % FIELD


def _add(point: Jacobian, other: Affine) -> Jacobian:
    x1, y1, z1 = point
    x2, y2 = other
    if z1 == 0:
        return x2, y2, 1
    zz = z1 * z1 % FIELD
    h = (x2 * zz - x1) % FIELD
    r = (y2 * (zz * z1 % FIELD) - y1) % FIELD
    if h == 0:
        return _INFINITY if r else _double(point)
    hh = h * h % FIELD
    hhh = h * hh % FIELD
    v = x1 * hh % FIELD
    x3 = (r * r - hhh - 2 * v) % FIELD
    return x3, (r * (v - x3) - y1 * hhh) % FIELD, z1 * h % FIELD


def _to_affine(points: list[Jacobian]) -> list[Affine]:
    """Normalise points, none of them infinity, with a single inversion for all."""
    product, before = 1, []
    for _, _, z in points:
        before.append(product)
        product = product * z % FIELD
    inverse, result = pow(product, -1, FIELD), []
    for (x, y, z), partial in zip(reversed(points), reversed(before), strict=True):
        own, inverse = inverse * partial % FIELD, inverse * z % FIELD
        square = own * own % FIELD
        result.append((x * square % FIELD, y * square * own % FIELD))
    return result[::-1]


def _multiply(point: Affine, factor: int) -> Jacobian:
    """Multiply by two half-length factors at once, in signed windows: 128 doublings instead of 256."""
    odd = [(*point, 1)]
    [twice] = _to_affine([_double(odd[0])])
    for _ in range((1 << (_WINDOW - 2)) - 1):
        odd.append(_add(odd[-1], twice))
    table = _to_affine(odd)
    turned = [(x * _BETA % FIELD, y) for x, y in table]
    additions: list[list[Affine]] = [[] for _ in range(_HALF_BITS)]
    for half, multiples in zip(_split(factor), (table, turned), strict=True):
        for position, digit in _windows(half):
            x, y = multiples[abs(digit) >> 1]
            additions[position].append((x, y if digit > 0 else FIELD - y))
    result = _INFINITY
    for points in reversed(additions):
        result = _double(result)
        for other in points:
            result = _add(result, other)
    return result


def _split(factor: int) -> tuple[int, int]:
    """Split a factor into a + b·λ with a and b of about 128 bits, where λ·(x, y) = (β·x, y).

    The constants are those of the Gallant-Lambert-Vanstone method for this curve (Guide to Elliptic
    Curve Cryptography, algorithm 3.74; libsecp256k1 uses the same).
    """
    first = (_LATTICE_B2 * factor + ORDER // 2) // ORDER
    second = (_LATTICE_B1 * factor + ORDER // 2) // ORDER
    return (
        factor - first * _LATTICE_B2 - second * _LATTICE_A2,
        first * _LATTICE_B1 - second * _LATTICE_B2,
    )


def _windows(factor: int) -> Iterator[tuple[int, int]]:
    """Split into positions and odd signed digits, lowest first: the sum of the digit·2^position."""
    half, position = 1 << (_WINDOW - 1), 0
    while factor:
        zeros = (factor & -factor).bit_length() - 1
        factor >>= zeros
        position += zeros
        digit = (factor + half) % (2 * half) - half
        yield position, digit
        factor -= digit


@functools.cache
def _base_table() -> tuple[tuple[Affine, ...], ...]:
    """Compute the multiples of the generator for each digit of a factor, once: about 2,700 points."""
    rows, base = [], _GENERATOR
    for _ in range(-(-256 // _BASE_WINDOW)):
        multiples: list[Jacobian] = [(*base, 1)]
        for _ in range((1 << _BASE_WINDOW) - 1):
            multiples.append(_add(multiples[-1], base))
        *row, base = _to_affine(multiples)
        rows.append(tuple(row))
    return tuple(rows)


def _add_base(point: Jacobian, factor: int) -> Jacobian:
    """Add a multiple of the generator: one addition for each digit, no doublings."""
    for row in _base_table():
        if digit := factor & ((1 << _BASE_WINDOW) - 1):
            point = _add(point, row[digit - 1])
        factor >>= _BASE_WINDOW
    return point

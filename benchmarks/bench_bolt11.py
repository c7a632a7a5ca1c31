"""Feed the payment request decoder with mutated strings, then time decoding and signing.

    python benchmarks/bench_bolt11.py --count 1000000

A third of the strings have their checksum computed again after the mutation and a third their signature
too, so that the parser behind them is reached. Ends with status 1 if anything but PaymentRequestError
came out. Times are medians for a call; the ratio compares two ways to decode in the same run.
"""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import os
import random
import statistics
import sys
import time
from typing import TYPE_CHECKING

from hercle_nb import _bech32, _bolt11_fields, _secp256k1, bolt11, bolt11_encode
from hercle_nb.errors import PaymentRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
ANYTHING = LETTERS * 3 + "1bioLNQ7é \x00:?&=%\ud800\u212a"
CHUNK = 2000
KEY = 0xE126F68F7EAFCC8B74F54D269FE206BE715000F94DAC067D1C04A8CA3B2DB734  # BOLT 11's, known to all
DIGEST = bytes(range(32))


def sample(description: str = "1 cup coffee", *, with_node_key: bool = False) -> str:
    """Return a regtest payment request, if wanted with the payee's key in an n field."""
    request = bolt11_encode.encode_payment_request(
        currency="bcrt",
        amount_msat=250_000_000,
        timestamp=1_800_000_000,
        payment_hash=DIGEST,
        payment_secret=DIGEST,
        description=description,
        expiry=86_400,
        private_key=KEY,
    )
    if not with_node_key:
        return request
    prefix, groups = _bech32.split(request)
    key = _bolt11_fields.write("n", _bech32.from_octets(_secp256k1.public_key(KEY)))
    return bolt11_encode.seal(prefix, groups[:-110] + key, KEY)


def mutate(chance: random.Random, text: str, alphabet: str) -> str:
    """Substitute, insert, delete, truncate, repeat or flip the case in one to four places."""
    for _ in range(chance.randint(1, 4)):
        place, letter = chance.randrange(len(text) + 1), chance.choice(alphabet)
        before, here, after = text[:place], text[place : place + 1], text[place + 1 :]
        kind = chance.randrange(16)
        if kind < 9:
            text = before + letter + after
        elif kind < 11:
            text = before + letter + here + after
        elif kind < 13:
            text = before + after
        elif kind == 13:
            text = before + here.swapcase() + after
        elif kind == 14:
            text = before + text[place : place + 40] + here + after
        else:
            text = before or text
    return text


def hostile(chance: random.Random, originals: list[str]) -> str:
    """Return one mutated string: raw, with its checksum right, or with its signature right as well."""
    original, way = chance.choice(originals), chance.randrange(3)
    if way == 0:
        return mutate(chance, original, ANYTHING)
    prefix, _, data = original.rpartition("1")
    if chance.random() < 0.1:
        prefix = mutate(chance, prefix, "0123456789munpx")
    data = mutate(chance, data[:-6] if way == 1 else data[:-110], LETTERS)
    groups = bytes(map(LETTERS.index, data.lower()))
    return _bech32.join(prefix, groups) if way == 1 else bolt11_encode.seal(prefix, groups, KEY)


def run_chunk(job: tuple[int, int]) -> tuple[collections.Counter[str], list[str], float]:
    """Decode a chunk; return how each string ended, what was foreign, and the seconds of decoding."""
    seed, count = job
    chance = random.Random(seed)
    originals = [sample(), sample(with_node_key=True), sample(""), sample("ナンセンス" * 40)]
    ends: collections.Counter[str] = collections.Counter()
    foreign, seconds = [], 0.0
    for _ in range(count):
        text = hostile(chance, originals)
        begin = time.perf_counter()
        try:
            end = "decoded" if bolt11.decode_payment_request(text).payable else "decoded, not payable"
        except PaymentRequestError as error:
            end = error.code
        except Exception as error:  # noqa: BLE001 - finding these is what the run is for
            end = "FOREIGN"
            foreign.append(f"{type(error).__name__}: {text!a}")
        seconds += time.perf_counter() - begin
        ends[end] += 1
    return ends, foreign, seconds


def median_ms(call: Callable[[], object], repetitions: int = 300) -> float:
    """Return the median of the call's times in milliseconds, the first call left out."""
    call()
    times = []
    for _ in range(repetitions):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1000


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def time_calls() -> None:
    """Print the medians for a call and the ratio of the two ways to find the payee."""
    recovered, given = sample(), sample(with_node_key=True)
    begin = time.perf_counter()
    _secp256k1._base_table.cache_clear()
    _secp256k1._base_table()
    say(f"table of the generator, once     {(time.perf_counter() - begin) * 1000:8.1f} ms")
    with_recovery = median_ms(lambda: bolt11.decode_payment_request(recovered))
    with_node_key = median_ms(lambda: bolt11.decode_payment_request(given))
    prefix, groups = _bech32.split(recovered)
    parsing = median_ms(lambda: _bolt11_fields.read(_bech32.check(prefix, groups)[7:-104]))
    signing = median_ms(lambda: _secp256k1.sign(DIGEST, KEY))
    encoding = median_ms(sample)
    say(f"decode, key recovered            {with_recovery:8.3f} ms")
    say(f"decode, key in the n field       {with_node_key:8.3f} ms")
    say(f"  of it checksum and fields      {parsing:8.3f} ms")
    say(f"sign                             {signing:8.3f} ms")
    say(f"encode and sign                  {encoding:8.3f} ms, {1000 / encoding:,.0f} a second")
    say(f"recovered / n field              {with_recovery / with_node_key:8.2f}")


def main() -> int:
    """Run both parts."""
    parser = argparse.ArgumentParser(description="Mutate payment requests and time the codec.")
    parser.add_argument("--count", type=int, default=1_000_000, help="mutated strings (1000000)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="all cores by default")
    parser.add_argument("--seed", type=int, default=11, help="another seed, other strings (11)")
    options = parser.parse_args()
    time_calls()
    sizes = [min(CHUNK, options.count - start) for start in range(0, options.count, CHUNK)]
    jobs = [(options.seed * 1_000_003 + number, size) for number, size in enumerate(sizes)]
    ends: collections.Counter[str] = collections.Counter()
    foreign: list[str] = []
    decoding, begin = 0.0, time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for chunk_ends, chunk_foreign, seconds in pool.imap_unordered(run_chunk, jobs):
            ends += chunk_ends
            foreign += chunk_foreign
            decoding += seconds
    elapsed = time.perf_counter() - begin
    total = ends.total()
    say(f"\n{total:,} mutated strings in {elapsed:.1f} s by {options.processes} processes")
    say(f"{total / elapsed:,.0f} a second, {decoding / max(total, 1) * 1e6:.0f} µs of decoding each")
    for end, number in ends.most_common():
        say(f"  {number:>9,}  {number / total:6.2%}  {end}")
    say(f"exceptions other than PaymentRequestError: {len(foreign)}")
    for line in foreign[:20]:
        say(f"  {line}")
    return 1 if foreign else 0


if __name__ == "__main__":
    sys.exit(main())

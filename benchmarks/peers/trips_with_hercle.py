"""Ours: the round trip of a command as a cell sees it.

    python -m benchmarks.peers.trips_with_hercle balances|invoices URL KEY CALLS

balances  `hub.command("GetBalances")`
invoices  `hub.create_invoice`, and apart from it the decoding of its payment request
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

import hercle_nb as hercle

if TYPE_CHECKING:
    from collections.abc import Callable

WARM_UP = 50  # calls


def median_seconds(call: Callable[[], Any], calls: int) -> float:
    """The median time of a call."""
    times = []
    for _ in range(WARM_UP + calls):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times[WARM_UP:])


def main() -> None:
    """Print the medians as JSON."""
    what, url, key, calls = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    with hercle.connect(url=url, api_key=key, journal=False) as hub:
        if what == "balances":
            result = {"seconds": median_seconds(lambda: hub.command("GetBalances"), calls)}
        else:
            request = hub.create_invoice(0.001, "Payment for services", 24).payment_request
            result = {
                "seconds": median_seconds(
                    lambda: hub.create_invoice(0.001, "Payment for services", 24), calls
                ),
                "decoding_seconds": median_seconds(lambda: hercle.decode_payment_request(request), calls),
            }
    print(json.dumps(result))


if __name__ == "__main__":
    main()

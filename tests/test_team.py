"""A team: two processes with one database, which decides who creates what."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.journals import connect, rows

if TYPE_CHECKING:
    from tests.servers import HubProcess

MEMBER = """
import json, random, sys
from concurrent.futures import ThreadPoolExecutor
import hercle_nb as hercle

url, key, journal, seed = sys.argv[1:]
names = [f"order-{number}" for number in range(24)]
random.Random(seed).shuffle(names)
with hercle.connect(url=url, api_key=key, journal=journal) as hub, ThreadPoolExecutor(6) as pool:
    print("connected", flush=True)
    sys.stdin.readline()
    made = list(pool.map(lambda name: hub.create_invoice(amount_sat=1_000, memo=name, client_id=name), names))
    ours = sorted(invoice.client_id for invoice in made if not invoice.reused)
    hub.refresh_invoices()
    print(json.dumps({"ours": ours, "seen": sorted(hub.invoices.index), "unknown": len(hub.unresolved)}))
"""


def test_two_processes(server: HubProcess, postgres_url: str) -> None:
    """Two processes that create the same orders at once make each once, and each sees the other's."""
    command = [sys.executable, "-c", MEMBER, server.url, server.key, postgres_url]
    team = [
        subprocess.Popen([*command, seed], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for seed in ("1", "2")
    ]
    for member in team:
        assert member.stdout is not None
        assert member.stdout.readline() == "connected\n"
    for member in team:
        assert member.stdin is not None
        member.stdin.write("go\n")
        member.stdin.flush()
    one, other = (json.loads(member.communicate(timeout=60)[0]) for member in team)
    names = sorted(f"order-{number}" for number in range(24))
    assert sorted(one["ours"] + other["ours"]) == names
    assert one["ours"]
    assert other["ours"]
    assert one["seen"] == other["seen"] == names
    assert one["unknown"] == other["unknown"] == 0
    assert server.created() == len(names) == len(rows(postgres_url))
    with connect(server, postgres_url) as hub:
        assert sorted(hub.invoices.index) == names
        assert (hub.invoices["status"] == "open").all()

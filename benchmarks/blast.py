"""A hub that writes prepared price events as fast as the socket takes them, for `bench_speed.py`.

    python benchmarks/blast.py          # prints where it listens; ends with its standard input

It negotiates, upgrades and shakes hands as ASP.NET Core does, takes any key, and knows two methods.
`Blast(count, per_frame, first)` writes so many events, numbered from `first`, and completes with their
digest. An answer to `GetBalances` waits for the end of the next blast, so that a command can be waiting all
through it. One thread a connection, and a process apart from every client: writing is never the bottleneck.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import random
import select
import socket
import sys
import threading
import uuid
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SUBJECT = "execution.feeds.priceUpdate"
PAIRS = ("AVAXUSDT", "ATOMUSDT", "LINKUSDT", "NEARUSDT")

_VARIANTS = 10_000  # different prices, sizes and times
_WRITE_BYTES = 1 << 20  # of one write, about; what a client says is looked at in between
_PING_SECONDS = 10.0
_ACCEPT_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_SEPARATOR = b"\x1e"


@functools.cache
def _parts() -> tuple[list[str], list[str]]:
    """What stands before an event's number, for each pair, and the variants of what stands behind it."""
    heads = [
        f'{{"type":1,"target":"subscriptions","arguments":[{{"channel":"p","topic":"p","subject":"{SUBJECT}",'
        f'"type":"message","clientId":"p{index}","data":{{"id":"'
        for index in range(len(PAIRS))
    ]
    chance = random.Random(7)
    mark = 64.0
    tails = []
    for second in range(_VARIANTS):
        mark += (chance.random() - 0.5) / 10
        tails.append(
            f'","buyPrice":{mark + 0.0032:.4f},"sellPrice":{mark - 0.0032:.4f},"size":{chance.random():.4f},'
            f'"pair":"{PAIRS[second % len(PAIRS)]}","markPrice":{mark:.4f},'
            f'"timestamp":"2026-11-24T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}Z"}}}}]}}'
        )
    return heads, tails


def texts(count: int, first: int = 0) -> list[str]:
    """Price events of 300 bytes as the hub sends them, numbered from ``first``; no two are alike."""
    heads, tails = _parts()
    return [
        f"{heads[number % len(heads)]}{number:07d}{tails[number % len(tails)]}"
        for number in range(first, first + count)
    ]


def digest(events: list[str]) -> str:
    """A digest that tells whether any event was lost, doubled, changed or moved."""
    return hashlib.sha256("\n".join(events).encode()).hexdigest()


@dataclass(frozen=True)
class Prepared:
    """Events ready to be written.

    Attributes:
        buffers: Whole WebSocket frames, about a megabyte each.
        digest: Of their texts.
    """

    buffers: list[bytes]
    digest: str


@functools.cache
def prepared(count: int, per_frame: int, first: int) -> Prepared:
    """Make events into frames, once."""
    events = texts(count, first)
    messages = [event.encode() + _SEPARATOR for event in events]
    frames = [framed(b"".join(messages[at : at + per_frame])) for at in range(0, count, per_frame)]
    step = max(1, _WRITE_BYTES // len(frames[0]))
    return Prepared([b"".join(frames[at : at + step]) for at in range(0, len(frames), step)], digest(events))


def framed(payload: bytes, opcode: int = _TEXT) -> bytes:
    """One unmasked WebSocket frame."""
    first, size = bytes([0x80 | opcode]), len(payload)
    if size < 126:
        return first + bytes([size]) + payload
    if size < 1 << 16:
        return first + b"\x7e" + size.to_bytes(2) + payload
    return first + b"\x7f" + size.to_bytes(8) + payload


class Connection(BaseHTTPRequestHandler):
    """One request: a negotiation, or a WebSocket for as long as it lasts."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    rbufsize = 0  # nothing may hide from select in a buffer

    def do_POST(self) -> None:
        """Negotiate."""
        identity = uuid.uuid4().hex
        offered = [{"transport": "WebSockets", "transferFormats": ["Text", "Binary"]}]
        answer = {"negotiateVersion": 1, "connectionId": identity, "connectionToken": identity}
        body = json.dumps(answer | {"availableTransports": offered}).encode()
        self.send_response_only(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """Upgrade, shake hands, and serve until the client leaves."""
        key = self.headers["Sec-WebSocket-Key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + _ACCEPT_SUFFIX, usedforsecurity=False).digest())
        self.send_response_only(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept.decode())
        self.end_headers()
        self.close_connection = True
        self._waiting: list[str] = []  # ClientIds whose answer waits for the end of the next blast
        self._open = True
        self._receive()
        self._say({})
        while self._open:
            if self._heard(_PING_SECONDS):
                self._take()
            else:
                self._say({"type": 6})

    def _take(self) -> None:
        for message in self._receive():
            if message.get("type") == 7:
                self._open = False
            elif message.get("type") == 1:
                self._invoked(message)

    def _invoked(self, message: dict[str, Any]) -> None:
        outcome: dict[str, Any] = {"result": None}
        if message["target"] == "Blast":
            outcome = {"result": self._blast(*message["arguments"])}
        elif message["target"] == "GetBalances":
            self._waiting.append(message["arguments"][0])
        else:
            outcome = {"error": f"HubException: there is no {message['target']} here"}
        if identity := message.get("invocationId"):
            self._say({"type": 3, "invocationId": identity, **outcome})

    def _blast(self, count: int, per_frame: int, first: int) -> dict[str, Any]:
        ready = prepared(count, per_frame, first)
        for buffer in ready.buffers:
            self.connection.sendall(buffer)
            if self._heard(0):
                self._take()
        for client_id in self._waiting:
            data = {"userId": "bench", "assets": [], "baseCurrency": "EUR"}
            envelope = {"subject": "account.balances.snapshot", "clientId": client_id, "data": data}
            self._say({"type": 1, "target": "executionEvents", "arguments": [envelope]})
        self._waiting.clear()
        return {"digest": ready.digest}

    def _heard(self, timeout: float) -> bool:
        return bool(select.select([self.connection], [], [], timeout)[0])

    def _say(self, message: dict[str, Any]) -> None:
        self.connection.sendall(framed(json.dumps(message, separators=(",", ":")).encode() + _SEPARATOR))

    def _receive(self) -> list[dict[str, Any]]:
        """The messages of one frame; none, and not open any more, at the end."""
        head = self._exactly(2)
        if not head:
            self._open = False
            return []
        size = head[1] & 0x7F
        if size == 126:
            size = int.from_bytes(self._exactly(2))
        mask = self._exactly(4)
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(self._exactly(size)))
        opcode = head[0] & 0x0F
        if opcode == _PING:
            self.connection.sendall(framed(payload, _PONG))
        elif opcode == _CLOSE:
            self.connection.sendall(framed(payload, _CLOSE))
            self._open = False
        if opcode != _TEXT:
            return []
        return [json.loads(message) for message in payload.split(_SEPARATOR)[:-1]]

    def _exactly(self, size: int) -> bytes:
        data: bytes = self.connection.recv(size, socket.MSG_WAITALL)
        return data


class Server(ThreadingHTTPServer):
    """Serves each connection on a thread of its own, which does not keep the process alive."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that left without a word; it says itself what went wrong."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def main() -> None:
    """Serve on a free port of this machine until the standard input ends."""
    with Server(("127.0.0.1", 0), Connection) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"listening on http://127.0.0.1:{server.server_address[1]}/hub", flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()

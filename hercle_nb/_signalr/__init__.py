"""The connection to a SignalR hub: the only package that knows pysignalr, websockets and negotiation.

supervisor.py   keeps the connection: connects, watches, reconnects, closes
policy.py       decides what comes next: which failure is final, which delay is due; no I/O
clocks.py       notices that the computer slept
transport.py    one negotiated connection, on pysignalr's WebSocket transport
negotiate.py    the HTTP request before it, with the key
protocol.py     what our messages look like on the wire
failures.py     why an attempt failed, and when another one is pointless
"""

"""The connection to a SignalR hub: the only package that knows pysignalr, websockets and negotiation.

supervisor.py   keeps the connection: when to try, what is final, what it is doing
transport.py    one negotiated connection, on pysignalr's WebSocket transport
negotiate.py    the HTTP request before it, with the key
protocol.py     what our messages look like on the wire
failures.py     why an attempt failed, and whether another one is worth it
"""

"""What our messages look like on the wire: pysignalr's JSON protocol, without its two faults.

It would copy the connection's headers, the API key among them, into every invocation, and it cannot send
an exact decimal (both measured on pysignalr 1.3.3).
"""

from __future__ import annotations

from pysignalr.messages import CloseMessage, HandshakeMessage, InvocationMessage, Message
from pysignalr.protocol.json import JSONProtocol

from hercle_nb import _json

SEPARATOR = "\x1e"
_SEPARATOR = SEPARATOR.encode()
MAX_SENT_BYTES = 32_768  # ASP.NET Core SignalR's default; a longer message ends the connection (recorded)


class HubProtocol(JSONProtocol):
    """pysignalr's JSON protocol with exact numbers and no headers; counts what it encodes.

    Attributes:
        messages: How many messages were encoded.
        size: Their length in bytes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.messages = 0
        self.size = 0

    def encode(self, message: Message | HandshakeMessage) -> str:
        """One message as text, with its record separator."""
        if isinstance(message, InvocationMessage):
            text = invocation_text(message.invocation_id, message.target, message.arguments) + SEPARATOR
        elif isinstance(message, CloseMessage):
            text = '{"type":7}' + SEPARATOR  # pysignalr would add fields that the protocol does not have
        else:
            text = super().encode(message)
        self.messages += 1
        self.size += len(text.encode())
        return text


class Incoming:
    """The bytes received, cut into messages at the record separators.

    Attributes:
        unfinished: Bytes of the message that is still arriving.
    """

    def __init__(self) -> None:
        self.unfinished = 0
        self._pieces: list[bytes] = []  # joined once, so that a long message costs what it is long

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that these bytes complete."""
        self._pieces.append(data)
        self.unfinished += len(data)
        if _SEPARATOR not in data:
            return []
        *messages, rest = b"".join(self._pieces).split(_SEPARATOR)
        self._pieces, self.unfinished = [rest], len(rest)
        return list(filter(None, messages))

    def rest(self) -> bytes:
        """What has arrived of an unfinished message."""
        return b"".join(self._pieces)


def invocation_text(invocation_id: str | None, method: str, arguments: object) -> str:
    """An invocation as the text that goes over the wire, record separator left off.

    Raises:
        InvalidRequest: An argument has no form in JSON.
    """
    identity = "" if invocation_id is None else f'"invocationId":{_json.encode(invocation_id)},'
    return f'{{"type":1,{identity}"target":{_json.encode(method)},"arguments":{_json.encode(arguments)}}}'

"""One connection to a member: gRPC calls over HTTP/2, several at once if asked, each answered in full.

gRPC's wire format is small: a call is one HTTP/2 stream, its message five bytes of length and flag and the message
itself, its fate the trailer `grpc-status`. HTTP/2 is the library's (h2). docs/decisions/0008 says why not grpcio.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import h2.connection
import h2.exceptions
from h2.config import H2Configuration
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes

from rome.driver.etcd.messages import Message

_WINDOW: Final = (1 << 31) - 1  # what the server may send unasked: all it has
_RECEIVE_BYTES: Final = 1 << 18
_HEAD: Final = struct.Struct(">BI")


class Method(NamedTuple):
    """One method of etcd's API."""

    path: bytes
    answer: Any  # the class of the message that comes back


class Refused(Exception):
    """The server answered with a gRPC status that is not OK."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} (gRPC status {code})")
        self.code = code
        self.message = message


class Broken(Exception):
    """The connection ended, or something that is no gRPC server spoke, before the answer was there.

    `sent` is False if the server cannot have begun the calls.
    """

    def __init__(self, why: str, *, sent: bool = True) -> None:
        super().__init__(why)
        self.sent = sent


class _Stream:
    """What has come back of one call."""

    __slots__ = ("body", "ended", "message", "method", "status")

    def __init__(self, method: Method) -> None:
        self.method = method
        self.body = bytearray()
        self.status: int | None = None
        self.message = ""
        self.ended = False

    def read_headers(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        for name, value in headers:
            if name == b"grpc-status":
                self.status = int(value)
            elif name == b"grpc-message":
                self.message = unquote(value.decode("utf-8", "replace"))
            elif name == b":status" and value != b"200":
                raise Broken(f"it answered with HTTP status {value.decode('ascii', 'replace')}")

    def answer(self) -> Message:
        """The message that came back. Raises Refused."""
        if self.status != 0:
            if self.status is None:
                raise Broken("the answer has no gRPC status: is it an etcd server?")
            raise Refused(self.status, self.message)
        compressed, size = _HEAD.unpack_from(self.body)
        if compressed or len(self.body) != _HEAD.size + size:
            raise Broken("the answer was cut")
        return self.method.answer.FromString(bytes(memoryview(self.body)[_HEAD.size :]))


class Channel:
    """gRPC over one socket, for one thread at a time. `token` is what the server gave for a password."""

    def __init__(self, sock: socket.socket, authority: str, *, tls: bool) -> None:
        self.token = b""
        self.usable = True  # no one has said that it ends
        self._socket = sock
        self._fixed = [
            (b":method", b"POST"), (b":scheme", b"https" if tls else b"http"), (b":authority", authority.encode()),
            (b"te", b"trailers"), (b"content-type", b"application/grpc"), (b"hasleader", b"true"),
        ]  # fmt: skip
        self._streams: dict[int, _Stream] = {}
        self._http = h2.connection.H2Connection(
            H2Configuration(
                client_side=True,
                header_encoding=None,
                validate_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_inbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self._unacknowledged = 0  # bytes received that the server does not know are gone
        self._http.initiate_connection()
        self._http.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW})
        self._http.increment_flow_control_window(_WINDOW - self._http.inbound_flow_control_window)

    def close(self) -> None:
        self.usable = False
        self._socket.close()

    def idle_and_open(self) -> bool:
        """Whether nothing speaks against another call: what the server said meanwhile is read."""
        try:
            self._socket.setblocking(False)
            try:
                while data := self._socket.recv(_RECEIVE_BYTES):
                    self._take(data)
                return False  # it was closed
            except (BlockingIOError, InterruptedError):
                return self.usable
        except (OSError, h2.exceptions.H2Error, Broken):
            return False

    def call(self, method: Method, message: Message, timeout_s: float) -> Message:
        """The answer to one call; see `exchange`."""
        return self.exchange([(method, message)], timeout_s)[0]

    def exchange(self, calls: Sequence[tuple[Method, Message]], timeout_s: float) -> list[Message]:
        """The answers to `calls`, all sent at once; the server may work on them in any order.

        Raises Refused for the first that was refused, when all have ended; then the connection is still good. Raises
        Broken, OSError and h2's errors, after which it is not. `timeout_s` bounds each wait for the server.
        """
        self._socket.settimeout(timeout_s)
        sent = [self._send(method, message.SerializeToString()) for method, message in calls]
        while not all(stream.ended for stream in sent):
            self._receive()
        self._streams.clear()
        return [stream.answer() for stream in sent]

    def _send(self, method: Method, message: bytes) -> _Stream:
        number = self._http.get_next_available_stream_id()
        headers = [(b":path", method.path), *self._fixed]
        if self.token:
            headers.append((b"token", self.token))
        stream = self._streams[number] = _Stream(method)
        self._http.send_headers(number, headers)
        body = memoryview(_HEAD.pack(0, len(message)) + message)
        while not stream.ended:
            room = min(self._http.local_flow_control_window(number), self._http.max_outbound_frame_size)
            part, body = body[:room], body[room:]
            if part:
                self._http.send_data(number, bytes(part), end_stream=not body)
            if not body:
                break
            if not part:
                self._receive()
        self._flush()
        return stream

    def _flush(self) -> None:
        if data := self._http.data_to_send():
            self._socket.sendall(data)

    def _receive(self) -> None:
        self._flush()  # what h2 has to acknowledge; after the last answer that goes with the next call
        data = self._socket.recv(_RECEIVE_BYTES)
        if not data:
            raise Broken("the connection was closed")
        self._take(data)
        if self._unacknowledged > 1 << 24:
            self._http.increment_flow_control_window(self._unacknowledged)
            self._unacknowledged = 0

    def _take(self, data: bytes) -> None:
        for event in self._http.receive_data(data):
            self._on(event)

    def _on(self, event: Event) -> None:
        if isinstance(event, DataReceived):
            self._unacknowledged += event.flow_controlled_length or 0
            if stream := self._streams.get(event.stream_id or 0):
                stream.body += event.data or b""
        elif isinstance(event, ResponseReceived | TrailersReceived):
            if stream := self._streams.get(event.stream_id or 0):
                stream.read_headers(event.headers or [])
        elif isinstance(event, StreamEnded):
            if stream := self._streams.get(event.stream_id or 0):
                stream.ended = True
        elif isinstance(event, StreamReset):
            if event.stream_id in self._streams:
                raise Broken(f"the server broke the call off (HTTP/2 error {event.error_code})")
        elif isinstance(event, ConnectionTerminated):
            self.usable = False
            last = event.last_stream_id or 0
            if any(number > last for number, stream in self._streams.items() if not stream.ended):
                raise Broken("the server is going away", sent=False)

"""A TCP proxy that does to a connection what networks do."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

LOOK_S = 0.005  # how often a connection that nothing may pass looks whether something may


class Proxy:
    """Passes connections on to `port` of this machine, from `self.port`. Attributes may be set at any time.

    lose_requests, lose_replies  so many of the next messages are swallowed, and their connections closed
    cut_replies_after            so many bytes of replies pass, then their connection is closed; once
    stop_replies_after           so many bytes of replies pass, then nothing more, and the connection stays open; once
    drop_requests, drop_replies  everything that goes this way vanishes; connections stay open
    delay_ms                     each message is so long under way, in each direction

    A message is what one `recv` brings: what was sent at once, if it is not large.
    """

    def __init__(self, port: int, *, delay_ms: float = 0) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.lose_requests = 0
        self.lose_replies = 0
        self.cut_replies_after: int | None = None
        self.stop_replies_after: int | None = None
        self.drop_requests = False
        self.drop_replies = False
        self.delay_ms = delay_ms
        self.request_bytes = 0  # passed so far
        self.reply_bytes = 0  # passed so far
        self.round_trips = 0  # requests that followed a reply, or nothing: exact for one client that waits
        self._replied = True
        self._parted = False
        self._cuts = 0
        self._budgets = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    # What a test does to all connections

    def cut(self) -> None:
        """Break every connection there is, and lose what is under way; new ones are taken."""
        self._cuts += 1
        for end in list(self._open):
            _break(end)

    def partition(self) -> None:
        """Nothing passes any more, neither way: who sends or connects hears nothing. Connections stay open."""
        self._parted = True

    def heal(self, *, lost: bool = False) -> None:
        """Everything passes again. What was sent meanwhile arrives now, even if no one waits for a reply any more.

        With `lost` it never does: the connections that were there are broken.
        """
        if lost:
            self.cut()
        self._parted = False

    # What passes

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            self._open += (client, server)
            self._start(self._connect, client, server)

    def _connect(self, client: socket.socket, server: socket.socket) -> None:
        """Pass both ways, until both are over; then no descriptor is left of the connection."""
        back = threading.Thread(target=self._pass, args=(server, client, self._reply), daemon=True)
        back.start()
        self._pass(client, server, self._request)
        back.join()
        for end in (client, server):
            self._open.remove(end)
            end.close()

    def _pass(self, source: socket.socket, sink: socket.socket, send: Callable[[socket.socket, bytes], bool]) -> None:
        """Hand on what `source` sends, in order, each message when it is due, until an end closes or `send` says no."""
        under_way: deque[tuple[float, bytes]] = deque()
        ended = False
        cuts = self._cuts
        arrivals = select.poll()  # `select` itself takes no descriptor above 1023
        arrivals.register(source, select.POLLIN)
        with contextlib.suppress(OSError):
            while cuts == self._cuts and not (ended and not under_way):
                wait_s: float | None = None
                if self._parted:
                    wait_s = LOOK_S
                elif under_way:
                    wait_s = max(0.0, under_way[0][0] - time.monotonic())
                if ended:
                    time.sleep(wait_s or 0.0)
                elif arrivals.poll(None if wait_s is None else wait_s * 1000):
                    data = source.recv(1 << 16)
                    ended = not data
                    if data:
                        under_way.append((time.monotonic() + self.delay_ms / 1000, data))
                while cuts == self._cuts and not self._parted and under_way and under_way[0][0] <= time.monotonic():
                    if not send(sink, under_way.popleft()[1]):
                        ended = True
                        under_way.clear()
        _break(source)
        _break(sink)

    def _request(self, server: socket.socket, data: bytes) -> bool:
        """Send `data` on; False if the connection is to be broken."""
        with self._budgets:
            if self.lose_requests > 0:
                self.lose_requests -= 1
                return False
        if not self.drop_requests:
            self.request_bytes += len(data)
            self.round_trips += self._replied
            self._replied = False
            server.sendall(data)
        return True

    def _reply(self, client: socket.socket, data: bytes) -> bool:
        with self._budgets:
            if self.lose_replies > 0:
                self.lose_replies -= 1
                return False
            cut, self.cut_replies_after = _spend(self.cut_replies_after, len(data))
            stop, self.stop_replies_after = _spend(self.stop_replies_after, len(data))
        passed = data if cut is None and stop is None else data[: cut if stop is None else stop]
        if not self.drop_replies:
            self.reply_bytes += len(passed)  # before who waits for them can look
            self._replied = True
            client.sendall(passed)
        if stop is not None:
            cuts = self._cuts
            while cuts == self._cuts:  # `cut`, or the end of the proxy
                time.sleep(LOOK_S)
        return cut is None

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()  # takes no more connections
        self.cut()
        for thread in self._threads:
            thread.join()
        self._listener.close()


def _spend(budget: int | None, size: int) -> tuple[int | None, int | None]:
    """How much of a message of `size` bytes passes if the budget ends in it, else None; and the budget afterwards."""
    if budget is None:
        return None, None
    return (budget, None) if size >= budget else (None, budget - size)


def _break(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)

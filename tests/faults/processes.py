"""Client processes that a test kills with SIGKILL."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess
from typing import Any

FORK = multiprocessing.get_context("fork")
START_S = 30.0


class Client:
    """A process that runs `work(*arguments, told)` until it is killed; what it sends to `told` can be read here."""

    def __init__(self, work: Callable[..., None], *arguments: object) -> None:
        self._receiver, sender = FORK.Pipe(duplex=False)
        self._process: BaseProcess = FORK.Process(target=work, args=(*arguments, sender), daemon=True)
        self._process.start()
        sender.close()

    def hear(self, within_s: float = START_S) -> Any:
        """The next thing that it sends; AssertionError if none comes."""
        self.wait(within_s)
        return self._receiver.recv()

    def wait(self, within_s: float = START_S) -> None:
        """Until it has sent something."""
        assert self._receiver.poll(within_s), "a client says nothing: is it held up by one that was killed?"

    def kill(self) -> None:
        """In the middle of whatever it does."""
        assert self._process.pid is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.join(START_S)
        assert self._process.exitcode == -signal.SIGKILL, "it ended before it was killed; its error is on stderr"

    def last_words(self) -> Iterator[Any]:
        """Everything that it sent before it was killed."""
        with self._receiver:
            while True:
                try:
                    yield self._receiver.recv()
                except EOFError:
                    return


@contextmanager
def a_client(work: Callable[..., None], *arguments: object) -> Iterator[Client]:
    """A client that is killed at the end, if it was not before."""
    client = Client(work, *arguments)
    try:
        yield client
    finally:
        if client._process.is_alive():
            client.kill()


__all__ = ["Client", "Pipe", "a_client"]

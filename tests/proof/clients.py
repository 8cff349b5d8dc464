"""Many clients on one store at once: processes where the store can be shared, threads on what one process holds."""

from __future__ import annotations

import importlib
import multiprocessing
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.pool import Pool
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

TIMEOUT_S = 900


class Barrier(Protocol):
    def wait(self, timeout: float | None = None) -> int: ...


Run = Callable[..., list[Any]]
"""`run(work, *arguments)`: what `work(number, *arguments)` returned for each client, all at once."""

_meeting: list[Barrier] = []


def meet() -> None:
    """Called by each client once, when it is ready: wait for the others."""
    _meeting[-1].wait(TIMEOUT_S)


@contextmanager
def processes(count: int, first: str = "", start: str = "forkserver") -> Iterator[Pool]:
    """So many processes that share nothing but stores. With `start` "spawn" they import the module `first` first.

    Else they are forked from a process that has imported all they need: once, however many pools there are.
    """
    context = multiprocessing.get_context(start)
    context.set_forkserver_preload(["tests.proof.workload", "tests.proof.contention"])
    with context.Pool(count, _prepare, (first, context.Barrier(count))) as pool:
        yield pool
        pool.terminate()
        pool.join()


def _prepare(first: str, barrier: Barrier) -> None:
    """Called once in each process."""
    if first:
        importlib.import_module(first)
    _meeting.append(barrier)


def in_processes(pool: Pool, count: int) -> Run:
    """One client in each of the pool's `count` processes."""

    def run(work: Callable[..., T], *arguments: object) -> list[T]:
        jobs = [(number, *arguments) for number in range(count)]
        return pool.starmap_async(work, jobs, chunksize=1).get(TIMEOUT_S)

    return run


def in_threads(count: int) -> Run:
    """One client in each of `count` threads of this process."""

    def run(work: Callable[..., T], *arguments: object) -> list[T]:
        results: list[T] = []
        threads = [
            threading.Thread(target=lambda number=number: results.append(work(number, *arguments)), daemon=True)  # type: ignore[misc]
            for number in range(count)
        ]
        _meeting.append(threading.Barrier(count))
        interval_s = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)  # so that threads meet in the middle of a transaction
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(TIMEOUT_S)
        finally:
            sys.setswitchinterval(interval_s)
            _meeting.pop()
        assert len(results) == count, "a client did not come back; its error is on stderr"
        return results

    return run

"""Tellers at work while a test does something to their store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rome.config import parse
from rome.conversation import Conversation
from rome.database import Database
from rome.driver.api import Driver
from rome.driver.open import open_store
from tests.faults.bank import PlainTeller, Tally, Teller, Told

TELLERS = 4
PAUSE_S = 0.01  # after a deed that the store could not be reached for
END_S = 60.0


@dataclass
class Record:
    """What became of the deeds: what the tellers were told, and when (monotonic seconds) deeds were done."""

    tallies: dict[int, Tally] = field(default_factory=dict)
    in_vain: dict[int, set[int]] = field(default_factory=dict)  # see `Teller`
    done_at_s: list[float] = field(default_factory=list)

    def count(self, told: Told) -> int:
        return sum(each is told for tally in self.tallies.values() for each in tally.values())

    @property
    def longest_gap_s(self) -> float:
        """The longest time in which no teller got anything done."""
        times = sorted(self.done_at_s)
        return max((after - before for before, after in zip(times, times[1:], strict=False)), default=0.0)


def under_load(employ: Callable[[int], Teller], disturb: Callable[[Record], None], *, tellers: int = TELLERS) -> Record:
    """Let tellers, whom `employ` makes by their numbers, work until `disturb` returns.

    None of them is restarted, reconnected or helped in any way; what they raise is raised here.
    """
    record = Record()
    failures: list[BaseException] = []
    done = threading.Event()

    def serve(writer: int) -> None:
        teller = employ(writer)
        record.tallies[writer], record.in_vain[writer] = teller.tally, teller.in_vain
        number = 0
        try:
            while not done.is_set():
                if teller.do(number) is Told.DONE:
                    record.done_at_s.append(time.monotonic())
                else:
                    time.sleep(PAUSE_S)
                number += 1
        except BaseException as error:  # a failed assertion is no Exception; it is raised again below
            failures.append(error)
            done.set()
        finally:
            teller.close()

    threads = [threading.Thread(target=serve, args=(each,), daemon=True) for each in range(tellers)]
    for thread in threads:
        thread.start()
    try:
        disturb(record)
    finally:
        done.set()
        for thread in threads:
            thread.join(END_S)
    assert not any(thread.is_alive() for thread in threads), "a teller hangs"
    if failures:
        raise failures[0]
    return record


def alone(url: str, around: Callable[[Driver], Driver] = lambda driver: driver) -> Callable[[int], PlainTeller]:
    """Employs tellers at the store at `url`, each with a driver, catalogue and plans of its own, as a process has.

    `around` puts something between a teller and its driver.
    """

    def employ(writer: int) -> PlainTeller:
        database = Database(parse(url), open_driver=lambda url: around(open_store(url)))
        database.references = 1
        return PlainTeller(Conversation(database), writer)

    return employ


def wait_until_done(record: Record, deeds: int, *, within_s: float = 30.0) -> None:
    """Wait until the tellers have done so many more deeds; AssertionError if it takes too long."""
    target = len(record.done_at_s) + deeds
    end = time.monotonic() + within_s
    while len(record.done_at_s) < target:
        assert time.monotonic() < end, f"only {len(record.done_at_s)} of {target} deeds were done"
        time.sleep(0.005)

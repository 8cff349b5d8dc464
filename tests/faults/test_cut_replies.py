"""Replies that end in the middle: the line breaks, or falls silent, after any number of bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rome.errors import Unavailable
from tests.faults.bank import Kind, Told, audit
from tests.faults.lines import NEVER, PATIENT_MS, REMOTE_STORES, Line, a_line
from tests.faults.load import alone

pytestmark = pytest.mark.servers

DIGITS = 16  # by so many bytes one greeting may be shorter than another: Redis's INFO has figures that grow and shrink


# What was read ahead would make the replies to one deed longer than those to the next, and no cut would meet the end.
ONCE = {store: f"{options}&prefetch=0" for store, options in NEVER.items()}
SILENCE_MS = 2_000  # each reply that stops costs that much; one that was only slow has to come within it


@pytest.fixture(params=REMOTE_STORES)
def line(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Line]:
    """A line to a bank in a store of each kind that lies beyond a network; nothing is asked twice or ahead."""
    with a_line(request.param, tmp_path, ONCE, timeout_ms=PATIENT_MS) as line:
        yield line


@pytest.fixture(params=REMOTE_STORES)
def hasty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Line]:
    """The same, but what does not come soon is given up."""
    with a_line(request.param, tmp_path, ONCE, timeout_ms=SILENCE_MS) as line:
        yield line


def reply_bytes(line: Line) -> int:
    return sum(proxy.reply_bytes for proxy in line.proxies)


def cut_deeds(line: Line, step: int, way: str, kinds: Sequence[Kind] = tuple(Kind)) -> dict[Told, int]:
    """Do each of `kinds` again and again, and let the replies to it end after 0, `step`, 2 · `step` … bytes."""
    teller = alone(line.url)(0)
    for number in range(4 * len(Kind)):  # the store and the tables are known then, and what each kind goes on to read
        assert teller.do(number) is Told.DONE
    number += 1
    told = dict.fromkeys(Told, 0)
    for kind in kinds:
        before = reply_bytes(line)
        number += (kind - number) % 4
        if teller.do(number) is not Told.DONE:  # one that was cut may end as it is taken again
            before, number = reply_bytes(line), number + 4
            assert teller.do(number) is Told.DONE
        size = reply_bytes(line) - before
        assert size > 10
        for after in range(0, size, step):
            number += 4
            line.set(**{way: after})
            told[teller.do(number)] += 1
            line.set(**{way: None})
    for _ in range(4):
        number += 1
        assert teller.do(number) is Told.DONE
    teller.close()
    audit(line.direct_url, {0: teller.tally})
    return told


def every(step: int) -> pytest.MarkDecorator:
    """After every so many bytes; at night after every single one."""
    nightly = pytest.param(1, id="every byte", marks=pytest.mark.nightly)
    return pytest.mark.parametrize("step", [pytest.param(step, id=f"every {step} bytes"), nightly])


@every(11)  # fewer than the reply to a commit has, on every store: it is cut too
def test_a_reply_cut_anywhere_is_an_error_or_is_settled_and_nothing_is_half_written(line: Line, step: int) -> None:
    told = cut_deeds(line, step, "cut_replies_after")
    assert told[Told.NOT_DONE] > 0, "a read whose reply was cut was taken for whole"
    assert told[Told.DONE] > 0, "no commit whose reply was cut was settled"
    assert told[Told.UNKNOWN] == 0, "the store could be asked, and was not"


@every(61)
def test_a_reply_that_stops_in_the_middle_is_an_error_when_its_time_is_over(hasty: Line, step: int) -> None:
    told = cut_deeds(hasty, step, "stop_replies_after", [Kind.APPEND])
    assert told[Told.NOT_DONE] > 0
    assert told[Told.UNKNOWN] == 0


@every(37)
def test_a_greeting_cut_anywhere_makes_the_store_unavailable(line: Line, step: int) -> None:
    before = reply_bytes(line)
    alone(line.url)(0).close()
    size = reply_bytes(line) - before
    assert size > 2 * DIGITS
    for after in range(0, size - DIGITS, step):
        line.set(cut_replies_after=after)
        with pytest.raises(Unavailable):
            alone(line.url)(0)
        line.set(cut_replies_after=None)
    alone(line.url)(0).close()

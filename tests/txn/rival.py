"""A process that competes for rows with others like it: `python rival.py <what> <store URL> <number> <of>`."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable

from rome.config import parse
from rome.driver.api import Driver
from rome.driver.open import open_store
from rome.errors import Conflict
from rome.testing.anomalies import cells
from rome.txn.retry import Journal, Policy, Replay
from rome.txn.transaction import Transaction

ACCOUNTS = 6
TRANSFERS = 60
OPENING = 1000
ROUNDS = 40


def account(number: int) -> bytes:
    return b"account/%d" % number


def on_call(turn: int, number: int) -> bytes:
    return b"on call/%d/%d" % (turn, number)


def transfer(driver: Driver, number: int, of: int) -> None:
    """Move money between accounts at random; every transfer goes through, by as many replays as it takes."""
    draw = random.Random(number)
    replay = Replay(Policy(max_tries=1000, max_time_s=60))
    mine = b"moves/%d" % number
    for _ in range(TRANSFERS):
        source, target = draw.sample(range(ACCOUNTS), 2)

        def move(transaction: Transaction, source: int = source, target: int = target) -> int:
            balances = transaction.run(cells(account(source), account(target)))
            amount = 7
            transaction.write(account(source), b"%d" % (int(balances[0] or 0) - amount))
            transaction.write(account(target), b"%d" % (int(balances[1] or 0) + amount))
            transaction.write(mine, b"%d" % (int(transaction.run(cells(mine))[0] or 0) + 1))
            return 2

        journal, transaction = Journal(), Transaction(driver)
        journal.perform(transaction, move)
        replay.commit(journal, transaction, lambda: Transaction(driver))


def skew(driver: Driver, number: int, of: int) -> None:
    """In every round leave duty if the other is on duty; both have looked before either commits."""
    for turn in range(ROUNDS):
        transaction = Transaction(driver)
        duties = transaction.run(cells(on_call(turn, number), on_call(turn, 1 - number)))
        meet(driver, turn, number)
        if duties == [b"on", b"on"]:
            transaction.write(on_call(turn, number), b"off")
        try:
            transaction.commit()
        except Conflict:
            continue


def meet(driver: Driver, turn: int, number: int) -> None:
    """Wait until the other process has come as far as this one."""
    driver.commit((), [(b"here/%d/%d" % (turn, number), b"")])
    while driver.read([b"here/%d/%d" % (turn, 1 - number)]).cells[0] is None:
        time.sleep(0.0005)


RIVALRIES: dict[str, Callable[[Driver, int, int], None]] = {"transfer": transfer, "skew": skew}

if __name__ == "__main__":
    what, url, position, count = sys.argv[1:]
    opened = open_store(parse(url))
    RIVALRIES[what](opened, int(position), int(count))
    opened.close()

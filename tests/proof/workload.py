"""Transactions for the checker, in SQL through PEP 249: lists that clients append to and read, and money that moves.

Lists are kept in four ways, so that each way to read and to write is in the history: as a text in one row (UPDATE with
concatenation; SELECT by key, by range and by a secondary index; DELETE and INSERT), as rows of a table (INSERT … SELECT
max + 1; a range scan), as the one row that a UNIQUE constraint allows, and as the moves of a bank account.
A list that no row holds is an empty list: to find it so is to see no phantom.

Clients go from one window of keys to the next, so lists stay short; in a window some keys are hot.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rome import dbapi
from rome.errors import DatabaseError, OutcomeUnknown, UniqueViolation
from rome.testing.history import Anomaly, Append, Outcome, Read, Transaction, check, check_totals
from tests.proof import clients
from tests.proof.bugs import planted

WINDOW = 40  # transactions of one client in one window of keys
KEYS = 8  # of each kind in a window
BUCKET = 4  # neighbouring texts share one value of an indexed column
ACCOUNTS = 5
OPENING = 30
TOTAL = ACCOUNTS * OPENING

SCHEMA = (
    "CREATE TABLE texts (id INTEGER PRIMARY KEY, bucket INTEGER, items TEXT)",
    "CREATE INDEX texts_bucket ON texts (bucket)",
    "CREATE TABLE entries (list INTEGER, place INTEGER, item INTEGER, PRIMARY KEY (list, place))",
    "CREATE TABLE claims (id INTEGER PRIMARY KEY AUTOINCREMENT, name INTEGER UNIQUE, owner INTEGER)",
    "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER CHECK (balance >= 0), moves TEXT)",
)


@dataclass(slots=True)
class Told:
    """What one client did and was told: its transactions, the balances it read, and its errors by SQLSTATE."""

    history: list[Transaction] = field(default_factory=list)
    balances: list[dict[str, int]] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    replayed_commits: int = 0


class Result:
    """What all clients of one run were told."""

    def __init__(self, told: list[Told]) -> None:
        self.history: list[Transaction] = [each for client in told for each in client.history]
        self.balances = [each for client in told for each in client.balances]
        self.errors: dict[str, int] = {}
        for client in told:
            for sqlstate, count in client.errors.items():
                self.errors[sqlstate] = self.errors.get(sqlstate, 0) + count
        self.replayed_commits = sum(client.replayed_commits for client in told)

    def anomalies(self) -> list[Anomaly]:
        return [*check(self.history), *check_totals(self.balances, TOTAL)]


def one_client(number: int, url: str, transactions: int, bug: str, seed: int) -> Told:
    """What each of the clients does."""
    with planted(bug):  # a process plants its own; a thread finds it planted
        client = Client(url, number, seed)
        clients.meet()
        return client.run(transactions)


def run(
    crowd: clients.Run,
    url: str,
    transactions: int,
    *,
    bug: str = "",
    seed: int = 0,
    client: Callable[..., Told] = one_client,
) -> Result:
    """`transactions` by each client, on a store with `bug` planted; then one look at all there is."""
    set_up(url, transactions)
    with planted(bug):
        told = crowd(client, url, transactions, bug, seed)
    return Result([*told, last_look(url)])


def set_up(url: str, transactions: int) -> None:
    """The tables, and the accounts of as many windows as clients of `transactions` transactions go through."""
    with dbapi.connect(url) as connection:
        cursor = connection.cursor()
        for sql in SCHEMA:
            cursor.execute(sql)
        for window in range(transactions // WINDOW + 1):
            for account in range(window * ACCOUNTS, (window + 1) * ACCOUNTS):
                cursor.execute("INSERT INTO accounts VALUES (?, ?, '')", (account, OPENING))
    connection.close()


class Client:
    """One connection that runs random transactions and writes down what became of them."""

    def __init__(self, url: str, number: int, seed: int = 0, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.connection = dbapi.connect(url, isolation_level="SERIALIZABLE")
        self.told = Told()
        self._number = number
        self._draw = random.Random(f"{seed} {number}")
        self._clock_ns = clock_ns
        self._appended = 0
        self._window = 0
        self._ops: list[Append | Read] = []
        self._balances: list[dict[str, int]] = []

    def run(self, transactions: int) -> Told:
        """So many transactions, then close."""
        for count in range(transactions):
            self._window = count // WINDOW
            self._run_one()
        self.told.replayed_commits = self.connection.counters.replayed_commits
        self.connection.close()
        return self.told

    def _run_one(self) -> None:
        self._ops, self._balances = [], []
        moves = self._draw.choices(MOVES, WEIGHTS, k=self._draw.choice((1, 1, 2, 2, 3, 4)))
        began_ns = self._clock_ns()
        outcome = Outcome.FAILED
        try:
            for move in moves:
                move(self)
            if self._draw.random() < 0.95:
                self.connection.commit()
                outcome = Outcome.OK
        except OutcomeUnknown:
            outcome = Outcome.UNKNOWN
        except DatabaseError as error:
            self.told.errors[error.sqlstate] = self.told.errors.get(error.sqlstate, 0) + 1
        ended_ns = self._clock_ns()
        self.connection.rollback()
        self.told.history.append(Transaction(tuple(self._ops), outcome, began_ns, ended_ns, f"client {self._number}"))
        self.told.balances += self._balances

    # ---- in few words

    def _say(self, sql: str, **values: object) -> Any:
        """The rows of a statement that gives rows, else how many it changed."""
        cursor = self.connection.cursor()
        cursor.execute(sql, values)
        return cursor.rowcount if cursor.description is None else cursor.fetchall()

    def _key(self) -> int:
        """A key of this window; the first are hot."""
        return self._window * KEYS + min(self._draw.randrange(KEYS) for _ in range(2))

    def _append(self, *keys: str) -> int:
        """A value of its own, written down as appended to `keys` before the store hears of it."""
        self._appended += 1
        value = self._number * 1_000_000 + self._appended
        self._ops += [Append(key, value) for key in keys]
        return value

    # ---- a text in one row

    def append_to_text(self) -> None:
        key = self._key()
        value = self._append(f"text {key}")
        item = f" {value}"
        if not self._say("UPDATE texts SET items = items || :item WHERE id = :id", id=key, item=item):
            self._say("INSERT INTO texts VALUES (:id, :bucket, :item)", id=key, bucket=key // BUCKET, item=item)

    def replace_text(self) -> None:
        """What an ORM does with a list: read, delete, insert."""
        key = self._key()
        items = self._read_texts([key], "SELECT id, items FROM texts WHERE id = :id", id=key)[key]
        text = f"{items} {self._append(f'text {key}')}"
        self._say("DELETE FROM texts WHERE id = :id", id=key)
        self._say("INSERT INTO texts (id, bucket, items) VALUES (:id, :b, :text)", id=key, b=key // BUCKET, text=text)

    def read_text(self) -> None:
        key = self._key()
        self._read_texts([key], "SELECT id, items FROM texts WHERE id = :id", id=key)

    def read_range_of_texts(self) -> None:
        first = self._key()
        last = first + 2
        sql = "SELECT id, items FROM texts WHERE id >= :first AND id <= :last ORDER BY id"
        self._read_texts(range(first, last + 1), sql, first=first, last=last)

    def read_bucket_of_texts(self) -> None:
        bucket = self._key() // BUCKET
        keys = range(bucket * BUCKET, (bucket + 1) * BUCKET)
        self._read_texts(keys, "SELECT id, items FROM texts WHERE bucket = :bucket", bucket=bucket)

    def _read_texts(self, keys: Any, sql: str, **values: object) -> dict[int, str]:
        """Read the texts of `keys`, which is all that the statement can give."""
        found = dict(self._say(sql, **values))
        assert found.keys() <= set(keys), (sql, values, found)
        texts = {key: found.get(key, "") for key in keys}
        self._ops += [Read(f"text {key}", _numbers(text)) for key, text in texts.items()]
        return texts

    # ---- rows of a table

    def append_entry(self) -> None:
        key = self._key()
        sql = "INSERT INTO entries SELECT :key, coalesce(max(place), 0) + 1, :item FROM entries WHERE list = :key"
        self._say(sql, key=key, item=self._append(f"entries {key}"))

    def read_entries(self) -> None:
        key = self._key()
        rows = self._say("SELECT item FROM entries WHERE list = :key ORDER BY place", key=key)
        self._ops.append(Read(f"entries {key}", tuple(item for (item,) in rows)))

    # ---- the one row that a UNIQUE constraint allows

    def claim(self) -> None:
        key = self._key() + self._draw.randrange(3) * KEYS  # most names are soon taken
        place = len(self._ops)
        value = self._append(f"claim {key}")
        try:
            self._say("INSERT INTO claims (name, owner) VALUES (:name, :owner)", name=key, owner=value)
        except UniqueViolation:
            del self._ops[place]
            rows = self._say("SELECT owner FROM claims WHERE name = :name", name=key)
            assert rows, "a name was taken and no one has it"
            self._ops.append(Read(f"claim {key}", tuple(owner for (owner,) in rows)))
        else:
            self._ops.insert(place, Read(f"claim {key}", ()))

    # ---- a bank

    def transfer(self) -> None:
        first = self._window * ACCOUNTS
        source, target = self._draw.sample(range(first, first + ACCOUNTS), 2)
        amount = self._draw.randrange(1, 20)
        place = len(self._ops)
        item = f" {self._append(f'account {source}', f'account {target}')}"
        sql = "UPDATE accounts SET balance = balance - :n, moves = moves || :item WHERE id = :id AND balance >= :n"
        if self._say(sql, n=amount, item=item, id=source):
            sql = "UPDATE accounts SET balance = balance + :n, moves = moves || :item WHERE id = :id"
            self._say(sql, n=amount, item=item, id=target)
        else:
            del self._ops[place:]

    def read_accounts(self) -> None:
        first = self._window * ACCOUNTS
        sql = "SELECT id, balance, moves FROM accounts WHERE id >= :first AND id < :beyond"
        rows = self._say(sql, first=first, beyond=first + ACCOUNTS)
        self._ops += [Read(f"account {account}", _numbers(moves)) for account, _, moves in rows]
        self._balances.append({f"account {account}": balance for account, balance, _ in rows})


MOVES = (
    Client.append_to_text,
    Client.replace_text,
    Client.read_text,
    Client.read_range_of_texts,
    Client.read_bucket_of_texts,
    Client.append_entry,
    Client.read_entries,
    Client.claim,
    Client.transfer,
    Client.read_accounts,
)
WEIGHTS = (4, 1, 2, 2, 2, 4, 3, 1, 3, 2)


def last_look(url: str, clock_ns: Callable[[], int] = time.monotonic_ns) -> Told:
    """Everything there is in the end, read in one transaction."""
    began_ns = clock_ns()
    with dbapi.connect(url) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT id, items FROM texts")
        lists = {f"text {key}": _numbers(items) for key, items in cursor.fetchall()}
        cursor.execute("SELECT list, item FROM entries ORDER BY list, place")
        for key, item in cursor.fetchall():
            lists[f"entries {key}"] = (*lists.get(f"entries {key}", ()), item)
        cursor.execute("SELECT name, owner FROM claims ORDER BY name, id")
        for key, owner in cursor.fetchall():
            lists[f"claim {key}"] = (*lists.get(f"claim {key}", ()), owner)
        cursor.execute("SELECT id, balance, moves FROM accounts")
        balances: dict[int, dict[str, int]] = {}
        for account, balance, moves in cursor.fetchall():
            lists[f"account {account}"] = _numbers(moves)
            balances.setdefault(account // ACCOUNTS, {})[f"account {account}"] = balance
    connection.close()
    ops = tuple(Read(key, values) for key, values in lists.items())
    return Told([Transaction(ops, Outcome.OK, began_ns, clock_ns(), "last look")], list(balances.values()))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split()))

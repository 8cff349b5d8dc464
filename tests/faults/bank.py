"""A bank whose books show every commit that was lost, done twice or done by half.

A `Teller` does numbered deeds and keeps what it was told of each; `audit` then compares the books with all of that.
The deeds are of four kinds, because different defects show in each: a transfer between two accounts (many rows and
their indexes change together), an item put at the end of a list (done twice, it stands there twice), a ticket taken (a
row that is written without looking at any other) and given back (what arrives late would bring it back).
"""

from __future__ import annotations

import enum
import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from oslo_db import exception
from sqlalchemy import Engine, text

from rome import dbapi
from rome.conversation import Conversation
from rome.errors import Conflict, OutcomeUnknown, Unavailable
from rome.testing.integrity import check

ACCOUNTS = 6
LISTS = 2
OPENING = 100
TOTAL = ACCOUNTS * OPENING

SCHEMA = (
    "CREATE TABLE accounts (id INTEGER PRIMARY KEY, owner VARCHAR(20) UNIQUE, balance INTEGER NOT NULL)",
    "CREATE INDEX accounts_balance ON accounts (balance, owner)",
    "CREATE TABLE entries (id INTEGER PRIMARY KEY AUTOINCREMENT, writer INTEGER NOT NULL, number INTEGER NOT NULL, "
    "account INTEGER NOT NULL REFERENCES accounts (id), amount INTEGER NOT NULL, UNIQUE (writer, number, account))",
    "CREATE INDEX entries_amount ON entries (amount, account)",
    "CREATE TABLE lists (id INTEGER PRIMARY KEY, items VARCHAR(1000000) NOT NULL)",
    "CREATE TABLE tickets (writer INTEGER, number INTEGER, note VARCHAR(20), PRIMARY KEY (writer, number))",
    "CREATE INDEX tickets_note ON tickets (note)",
)


class Say(Protocol):
    def __call__(self, sql: str, parameters: Mapping[str, object]) -> Any:
        """The rows of a query, the row count of everything else."""


class Told(enum.Enum):
    """What a teller was told of a deed."""

    DONE = "done"
    NOT_DONE = "not done"
    UNKNOWN = "unknown"


class Kind(enum.IntEnum):
    """What a deed is, by its number modulo 4."""

    TRANSFER = 0
    APPEND = 1
    TAKE = 2
    GIVE_BACK = 3


Tally = dict[int, Told]


def open_bank(url: str) -> None:
    """An empty store becomes a bank."""
    connection = dbapi.connect(url)
    cursor = connection.cursor()
    for sql in SCHEMA:
        cursor.execute(sql)
    accounts = [{"id": id_, "owner": f"owner {id_}", "opening": OPENING} for id_ in range(ACCOUNTS)]
    cursor.executemany("INSERT INTO accounts VALUES (:id, :owner, :opening)", accounts)
    cursor.executemany("INSERT INTO lists VALUES (:id, '')", [{"id": id_} for id_ in range(LISTS)])
    connection.commit()
    connection.close()


def deed(say: Say, writer: int, number: int) -> bool:
    """The deed `number` of `writer`, always the same, in one transaction; the caller commits. Whether it wrote."""
    draw = random.Random(f"{writer} {number}")
    match Kind(number % 4):
        case Kind.TRANSFER:
            source, target = draw.sample(range(ACCOUNTS), 2)
            _transfer(say, writer, number, source, target, draw.randrange(1, 20))
        case Kind.APPEND:
            item = {"id": draw.randrange(LISTS), "item": f"{writer}.{number} "}
            assert say("UPDATE lists SET items = items || :item WHERE id = :id", item) == 1
        case Kind.TAKE:
            ticket = {"writer": writer, "number": number, "note": f"note {number % 5}"}
            say("INSERT INTO tickets (writer, number, note) VALUES (:writer, :number, :note)", ticket)
        case Kind.GIVE_BACK:
            last = {"writer": writer, "number": number - 1}
            return bool(say("DELETE FROM tickets WHERE writer = :writer AND number = :number", last))
    return True


def _transfer(say: Say, writer: int, number: int, source: int, target: int, amount: int) -> None:
    for account, change in ((source, -amount), (target, amount)):
        if change % 2:
            values = {"id": account, "change": change}
            assert say("UPDATE accounts SET balance = balance + :change WHERE id = :id", values) == 1
        else:  # read, reckon, write: what an ORM does
            ((balance,),) = say("SELECT balance FROM accounts WHERE id = :id", {"id": account})
            values = {"id": account, "balance": balance + change}
            assert say("UPDATE accounts SET balance = :balance WHERE id = :id", values) == 1
        entry = {"writer": writer, "number": number, "account": account, "change": change}
        say(
            "INSERT INTO entries (writer, number, account, amount) VALUES (:writer, :number, :account, :change)", entry
        )


class Teller:
    """Does deeds; `tally` keeps what it was told of each. Who derives from it says how in `attempt`."""

    def __init__(self, writer: int) -> None:
        self.writer = writer
        self.tally: Tally = {}
        self.in_vain: set[int] = set()  # what was done and found nothing to write

    def do(self, number: int) -> Told:
        """One deed, again as often as it meets a conflict."""
        told = None
        while told is None:
            told = self.attempt(number)
        self.tally[number] = told
        return told

    def attempt(self, number: int) -> Told | None:
        """One deed in one transaction; None after a conflict."""
        raise NotImplementedError

    def close(self) -> None:
        """Give back what the teller worked with."""


class PlainTeller(Teller):
    """Works in a conversation, without SQLAlchemy."""

    def __init__(self, conversation: Conversation, writer: int) -> None:
        super().__init__(writer)
        self.conversation = conversation

    def close(self) -> None:
        self.conversation.close()

    def say(self, sql: str, parameters: Mapping[str, object]) -> Any:
        result = self.conversation.execute(sql, [parameters])
        return result.rowcount if result.columns is None else result.rows

    def attempt(self, number: int) -> Told | None:
        try:
            wrote = deed(self.say, self.writer, number)
            self.conversation.commit()
            if not wrote:
                self.in_vain.add(number)
            return Told.DONE
        except Conflict:
            return None
        except Unavailable:
            return Told.NOT_DONE
        except OutcomeUnknown:
            return Told.UNKNOWN
        finally:
            self.conversation.rollback()


class EngineTeller(Teller):
    """Works as an OpenStack service does: through an engine that oslo.db made, with its exceptions."""

    def __init__(self, engine: Engine, writer: int) -> None:
        super().__init__(writer)
        self.engine = engine

    def perform(self, number: int) -> None:
        """One deed in one transaction; raises what the engine raises."""
        with self.engine.begin() as connection:

            def say(sql: str, parameters: Mapping[str, object]) -> Any:
                result = connection.execute(text(sql), parameters)
                return result.all() if result.returns_rows else result.rowcount

            deed(say, self.writer, number)

    def attempt(self, number: int) -> Told | None:
        try:
            self.perform(number)
            return Told.DONE
        except exception.DBDeadlock:
            return None
        except exception.DBConnectionError as error:
            cause = error.inner_exception.orig
            assert isinstance(cause, Unavailable | OutcomeUnknown), repr(cause)
            return Told.UNKNOWN if isinstance(cause, OutcomeUnknown) else Told.NOT_DONE


def audit(
    url: str,
    tallies: Mapping[int, Tally],
    *,
    killed: bool = False,
    in_vain: Mapping[int, Collection[int]] | None = None,
) -> Counter[Kind]:
    """Assert that the books of the store at `url` agree with each other and with what the tellers were told.

    `tallies` is by writer. With `killed`, nobody was told of the deed after a writer's last one, which may be done.
    `in_vain` is of a store where another server may have taken over twice: deeds by writer that read and wrote nothing,
    which may have read what was undone (`test_failovers`). Returns how many deeds of each kind stand.
    """
    connection = dbapi.connect(url)
    conversation = connection._opened()
    try:
        problems = check(conversation.database.driver, connection.url.namespace)
        assert problems == [], problems[:5]
        stand = _standing(lambda sql: conversation.execute(sql, [{}]).rows)
    finally:
        connection.close()
    for writer, tally in tallies.items():
        assert not set(tally.values()) - set(Told)
        newest = max(tally, default=-1)
        for number in range(newest + 1 + killed):
            told = tally.get(number, Told.UNKNOWN if killed and number > newest else Told.NOT_DONE)
            if told is Told.UNKNOWN and in_vain is not None and number + 1 in in_vain.get(writer, ()):
                continue
            _compare(writer, number, told, tally, (writer, number) in stand)
    written = {writer for writer, _ in stand}
    assert written <= set(tallies), "someone wrote who is not a teller"
    return Counter(Kind(number % 4) for _, number in stand)


def _standing(rows: Callable[[str], list[Any]]) -> set[tuple[int, int]]:
    """The transfers and items that the books hold, whole and once, and the tickets that are out."""
    balances = dict(rows("SELECT id, balance FROM accounts"))
    assert sum(balances.values()) == TOTAL
    assert sorted(balances.items()) == sorted(rows("SELECT id, balance FROM accounts WHERE owner > '' ORDER BY owner"))
    entries = rows("SELECT writer, number, account, amount FROM entries")
    transfers: dict[tuple[int, int], list[int]] = {}
    for writer, number, account, amount in entries:
        transfers.setdefault((writer, number), []).append(amount)
        balances[account] -= amount
    assert set(balances.values()) == {OPENING}, "an account's balance is not what its entries make"
    assert all(len(amounts) == 2 and sum(amounts) == 0 for amounts in transfers.values()), "half a transfer"
    items = [item for (text,) in rows("SELECT items FROM lists") for item in text.split()]
    twice = [item for item, times in Counter(items).items() if times > 1]
    assert not twice, f"items stand twice in the lists: {twice}"
    appended = {tuple(map(int, item.split("."))) for item in items}
    tickets = {tuple(row) for row in rows("SELECT writer, number FROM tickets")}
    return set(transfers) | appended | tickets  # type: ignore[arg-type]


def _compare(writer: int, number: int, told: Told, tally: Tally, stands: bool) -> None:
    """Whether what the books say of a deed agrees with what its teller was told."""
    what = f"deed {number} ({Kind(number % 4).name}) of writer {writer}, {told.value}"
    match Kind(number % 4):
        case Kind.GIVE_BACK:
            assert not stands
        case Kind.TAKE:
            match tally.get(number + 1):
                case Told.DONE:
                    assert not stands, f"{what}: its ticket was given back and is out again"
                case Told.NOT_DONE:
                    assert told is Told.UNKNOWN or stands == (told is Told.DONE), what
                case _:
                    assert not stands or told is not Told.NOT_DONE, what
        case _:
            assert told is Told.UNKNOWN or stands == (told is Told.DONE), what

"""What one connection says to a store: its transaction, its savepoints, its isolation level and its locks.

A `Conversation` keeps the journal from which a transaction that met a conflict is replayed before anyone hears of it.
A transaction that was open when the process forked belongs to the parent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Generic, Literal, NamedTuple, TypeVar, cast

from rome.database import Database
from rome.errors import (
    Conflict,
    Deadlock,
    Error,
    InactiveTransaction,
    InterfaceError,
    OperationalError,
    ProgrammingError,
)
from rome.lock import Lease
from rome.sql import statement
from rome.sql.control import Act, Control, control, is_several_transactions
from rome.sql.statement import Result
from rome.table.schema import Catalog
from rome.txn.leases import RowLeases
from rome.txn.private import Private
from rome.txn.recent import Recent
from rome.txn.retry import Failure, Journal, Weight, weigh
from rome.txn.transaction import Isolation, Savepoint, Transaction

T = TypeVar("T")

IsolationLevel = Literal["SERIALIZABLE", "READ COMMITTED", "AUTOCOMMIT"]
ISOLATION_LEVELS: tuple[IsolationLevel, ...] = ("SERIALIZABLE", "READ COMMITTED", "AUTOCOMMIT")

NOTHING = Result(None, [], -1, None)
"""What a statement without rows or counts answers: BEGIN, COMMIT, SAVEPOINT."""

_STRONGER = {
    "READ UNCOMMITTED": Isolation.READ_COMMITTED,
    "READ COMMITTED": Isolation.READ_COMMITTED,
    "REPEATABLE READ": Isolation.SERIALIZABLE,
    "SERIALIZABLE": Isolation.SERIALIZABLE,
    "AUTOCOMMIT": Isolation.SERIALIZABLE,
}

SAMPLED_ROWS = 2
VALUE_BYTES = 32  # what a value takes in memory, about, besides the characters of a string
_NO_ROWS = Weight(0, 0)


class _NamedSavepoint(NamedTuple):
    name: str
    savepoint: Savepoint


class _Unseen(Generic[T]):
    """Something to run whose answer no one has seen yet, so that a replay may well find another.

    To the journal it always answers None; `settle` gives the answer, or raises the error, of the last time it ran.
    """

    def __init__(self, run: Callable[[Transaction], T]) -> None:
        self._run = run
        self.answer: T | None = None
        self.failure: Error | None = None

    def __call__(self, transaction: Transaction) -> None:
        self.answer = self.failure = None
        try:
            self.answer = self._run(transaction)
        except OperationalError:
            raise
        except Error as error:
            self.failure = error

    def settle(self) -> T:
        if self.failure is not None:
            raise self.failure
        return cast(T, self.answer)


class Conversation:
    """One connection's side of a Database; for one thread at a time.

    A transaction begins with the first statement. With isolation AUTOCOMMIT each statement is a transaction of its own,
    unless BEGIN opened one. After a statement's conflict that replay could not cure, or a deadlock, everything but
    ROLLBACK is refused (25P02); COMMIT ends the transaction, too, whether it succeeds or not.
    """

    def __init__(self, database: Database, isolation: str = "SERIALIZABLE") -> None:
        self.database = database
        self._forks = database.forks
        self._isolation: IsolationLevel = "SERIALIZABLE"
        self._transaction: Transaction | None = None
        self._journal = _journal()
        self._begun: list[Transaction] = []  # the tries of the current transaction
        self._written = 0  # transactions of this connection that wrote
        self._recent = Recent(database.environment.timer, lambda: self.database.written - self._written)
        self._private = Private(database.environment.keys.private_prefix)  # its temporary tables
        self._savepoints: list[_NamedSavepoint] = []
        self._statements = 0
        self._explicit = False  # BEGIN was said
        self._this_transaction: Isolation | None = None  # SET TRANSACTION was said
        self._lock_timeout_ms = database.lock_timeout_ms
        self._this_lock_timeout_ms: int | None = None  # SET LOCAL lock_timeout was said
        self._lease: Lease | None = None
        self._this_lease: Lease | None = None  # BEGIN was said with it
        self._row_leases: RowLeases | None = None  # of the current transaction and all of its tries
        self._failed = False
        self.isolation = isolation

    @property
    def isolation(self) -> IsolationLevel:
        return self._isolation

    @isolation.setter
    def isolation(self, level: str) -> None:
        wanted = level.upper().replace("_", " ")
        for known in ISOLATION_LEVELS:
            if wanted == known:
                break
        else:
            raise InterfaceError(f"there is no isolation level {level!r}; there are {', '.join(ISOLATION_LEVELS)}")
        if self.in_transaction and known != self._isolation:
            raise ProgrammingError(
                "the isolation level cannot change within a transaction: commit or roll back first", sqlstate="25001"
            )
        self._isolation = known

    @property
    def in_transaction(self) -> bool:
        """Whether statements wait for a COMMIT or ROLLBACK."""
        return self._transaction is not None or self._explicit or self._failed

    # ---- statements

    def execute(self, sql: str, parameters: Sequence[Mapping[str, object]]) -> Result:
        """Run one statement, once or (with several mappings) for each of them; transaction control too.

        Raises the errors of rome.errors. The transaction goes on after every error but a Conflict.
        """
        command = control(sql)
        if command is not None:
            return self._obey(command)
        if is_several_transactions(sql):
            return self._change_concurrently(sql)
        return self._perform(partial(_execute, self.database, sql, parameters))

    def _change_concurrently(self, sql: str) -> Result:
        """CREATE or DROP INDEX CONCURRENTLY: as many transactions as it takes."""
        place: bytes | None = None
        while True:
            self._check_usable()
            if self._explicit or self._statements:
                raise ProgrammingError(
                    "CONCURRENTLY means several transactions, which cannot be in one: commit or roll back first",
                    sqlstate="25001",
                )
            self._statements += 1
            place = self._perform_alone(partial(_change_some, self.database, sql, place))
            if place is None:
                return NOTHING

    def catalog(self) -> Catalog:
        """The catalogue as the current transaction sees it."""
        seen: list[Catalog] = []

        def look(transaction: Transaction) -> int:
            seen.append(statement.catalog(self.database.environment, transaction))
            return seen[-1].version

        self._perform(look)
        return seen[-1]

    def _perform(self, run: Callable[[Transaction], T]) -> T:
        """`run` in the current transaction, or in one of its own; conflicts are replayed."""
        self._check_usable()
        self._statements += 1
        if self._isolation == "AUTOCOMMIT" and not self._explicit:
            return self._perform_alone(run)
        transaction = self._transaction
        if transaction is None:
            transaction = self._begin()
            self.database.replay.queue_again(self._journal, transaction, run)
        try:
            return self._journal.perform(transaction, run)
        except Conflict as conflict:
            return self._perform_again(run, transaction, conflict)
        except Deadlock:
            self._fail()
            raise

    def _perform_again(self, run: Callable[[Transaction], T], transaction: Transaction, conflict: Conflict) -> T:
        """After a conflict in the middle of `run`: replay what came before it, and `run` with them."""
        unseen = _Unseen(run)
        self._journal.add(unseen, None)
        try:
            transaction = self.database.replay.recover(self._journal, transaction, self._begin, conflict)
        except BaseException:
            self._fail()
            raise
        self._journal.entries.pop()
        # from now on its answer has been seen: this must be kept as `Journal.perform` does
        failure = unseen.failure
        kept = unseen.answer if failure is None else Failure(type(failure), str(failure))
        self._journal.add(run, kept, drawn=transaction.tape.position)
        return unseen.settle()

    def _perform_alone(self, run: Callable[[Transaction], T]) -> T:
        """`run` as a transaction; after a conflict simply again, as its answer has not been given yet."""
        unseen = _Unseen(run)
        transaction = self._begin()
        committed = False
        try:
            try:
                self._journal.perform(transaction, unseen)
            except Conflict as conflict:
                self._journal.add(unseen, None)
                transaction = self.database.replay.recover(self._journal, transaction, self._begin, conflict)
            transaction = self.database.replay.commit(self._journal, transaction, self._begin)
            self.database.adopt(transaction)
            committed = True
        finally:
            transaction.rollback()
            self._end(committed)
        return unseen.settle()

    # ---- transactions

    @property
    def lease(self) -> Lease | None:
        """The lease that every transaction of this connection runs under; it can be set outside a transaction."""
        return self._lease

    @lease.setter
    def lease(self, lease: Lease | None) -> None:
        if self.in_transaction and lease is not self._lease:
            raise ProgrammingError(
                "the lease cannot change within a transaction: commit or roll back first", sqlstate="25001"
            )
        self._lease = lease

    def begin(self, under: Lease | None = None) -> None:
        """BEGIN: open a transaction; it begins by itself with the first statement unless the level is AUTOCOMMIT.

        `under` is a lease without which the store will refuse the commit: `commit` then raises LeaseLost.
        """
        self._check_usable()
        if self._explicit or self._statements:
            raise ProgrammingError("a transaction is open already: commit or roll back first", sqlstate="25001")
        self._explicit = True
        self._this_lease = under

    def commit(self) -> None:
        """Make what the transaction did visible to others; nothing if there is none.

        Raises Conflict when others changed what it read (nothing was written), what `Transaction.commit` raises, and
        InactiveTransaction after a statement's conflict. The transaction is over in any case, as after COMMIT of an SQL
        server: who pools connections sends no ROLLBACK after a COMMIT that failed.
        """
        committed = False
        try:
            self._check_usable()
            if self._transaction is not None:
                self.database.adopt(self.database.replay.commit(self._journal, self._transaction, self._begin))
                committed = True
        finally:
            if committed:
                self._end(committed=True)
            else:
                self.rollback()

    def rollback(self) -> None:
        """Forget what the transaction did; nothing if there is none."""
        if self._transaction is not None:
            self._transaction.rollback()
        self._end(committed=False)

    def close(self) -> None:
        """Roll back and give the Database back. The Conversation must not be used afterwards."""
        try:
            self.rollback()
        finally:
            self.database.release()

    def _begin(self) -> Transaction:
        """Begin a transaction, or another try of the current one."""
        if self._row_leases is None:
            self._row_leases = self.database.row_leases(self.lock_timeout_ms)
        isolation = self._this_transaction or _STRONGER[self._isolation]
        recent = None if self._begun else self._recent  # a replay reads for itself
        lease = self._this_lease or self._lease
        self._transaction = self.database.begin(isolation, self._row_leases, lease, recent, self._private)
        self._begun.append(self._transaction)
        self._savepoints.clear()
        return self._transaction

    def _end(self, committed: bool) -> None:
        """The transaction is over: unlock its rows, count it and be ready for the next."""
        leases, self._row_leases = self._row_leases, None
        unlocks = leases.release() if leases is not None else 0
        if self._begun:
            self.database.count(self._begun, self._statements, committed, unlocks)
            self._written += self._begun[-1].committed_at is not None
            if len(self._begun) > 1:
                self._recent.clear()  # others have changed what was read before the last try
            self._begun[-1].leave(self._recent)
            self._begun = []
            self._journal = _journal()
            self._savepoints.clear()
        self._transaction = None
        self._statements = 0
        self._explicit = False
        self._this_transaction = None
        self._this_lock_timeout_ms = None
        self._this_lease = None
        self._failed = False

    def _fail(self) -> None:
        """The transaction is lost; nothing but a rollback may follow."""
        self.rollback()
        self._failed = True

    def _check_usable(self) -> None:
        if self._forks != self.database.forks:
            self._forks = self.database.forks
            if self._transaction is not None:
                self._transaction = self._row_leases = None  # the parent's
                self._end(committed=False)
                raise InterfaceError(
                    "the transaction of this connection was begun before the process forked and belongs to the parent; "
                    "roll back, or open another connection in the child"
                )
        if self._failed:
            raise InactiveTransaction("the transaction failed and nothing was written: roll back, then run it again")

    # ---- savepoints

    def savepoint(self, name: str) -> None:
        """SAVEPOINT: a place to return to; a newer one of the same name hides an older."""
        self._perform_in_transaction(partial(_set_savepoint, self._savepoints, name))

    def rollback_to(self, name: str) -> None:
        """ROLLBACK TO SAVEPOINT: undo what came after it; it stays, later ones are gone.

        After a conflict it is taken and does nothing: the transaction stays lost, and who leaves a nested block because
        of the conflict, as SQLAlchemy does, must hear of that and not of this.
        """
        if self._failed:
            return
        self._perform_in_transaction(partial(_rollback_to, self._savepoints, name))

    def release(self, name: str) -> None:
        """RELEASE SAVEPOINT: forget it and later ones, keeping what was done."""
        self._perform_in_transaction(partial(_release, self._savepoints, name))

    def _perform_in_transaction(self, run: Callable[[Transaction], None]) -> None:
        if self._isolation == "AUTOCOMMIT" and not self._explicit:
            raise ProgrammingError("a savepoint needs a transaction: BEGIN one first", sqlstate="25P01")
        self._perform(run)

    # ---- control

    def _obey(self, command: Control) -> Result:
        name = command.name or ""
        match command.act:
            case Act.BEGIN:
                self.begin()
            case Act.COMMIT:
                self.commit()
            case Act.ROLLBACK:
                self.rollback()
            case Act.SAVEPOINT:
                self.savepoint(name)
            case Act.ROLLBACK_TO:
                self.rollback_to(name)
            case Act.RELEASE:
                self.release(name)
            case Act.ISOLATION:
                self.set_transaction(name)
            case Act.LOCK_TIMEOUT:
                self.set_lock_timeout(command.milliseconds)
            case Act.LOCAL_LOCK_TIMEOUT:
                self.set_lock_timeout(command.milliseconds, local=True)
        return NOTHING

    @property
    def lock_timeout_ms(self) -> int:
        """How long FOR UPDATE waits for a row, in milliseconds; 0 without end."""
        local = self._this_lock_timeout_ms
        return self._lock_timeout_ms if local is None else local

    def set_lock_timeout(self, milliseconds: int | None, *, local: bool = False) -> None:
        """SET lock_timeout: for this connection, or with `local` for its transaction; None is what the URL says."""
        self._check_usable()
        wanted = self.database.lock_timeout_ms if milliseconds is None else milliseconds
        if not local:
            self._lock_timeout_ms = wanted
        elif self._isolation == "AUTOCOMMIT" and not self._explicit:
            raise ProgrammingError("SET LOCAL needs a transaction: BEGIN one first", sqlstate="25P01")
        else:
            self._this_lock_timeout_ms = wanted
        if self._row_leases is not None:
            self._row_leases.timeout_ms = self.lock_timeout_ms

    def set_transaction(self, level: str) -> None:
        """SET TRANSACTION ISOLATION LEVEL: for this transaction only, before its first statement.

        The levels that ROME has not are answered by the next stronger one.
        """
        self._check_usable()
        if self._isolation == "AUTOCOMMIT" and not self._explicit:
            raise ProgrammingError("SET TRANSACTION needs a transaction: BEGIN one first", sqlstate="25P01")
        if self._statements:
            raise ProgrammingError("SET TRANSACTION must come before the transaction's statements", sqlstate="25001")
        self._this_transaction = _STRONGER[level]


def _journal() -> Journal:
    return Journal(weigh=_weigh)


def _weigh(result: object) -> Weight:
    """The size of a Result, by a few of its rows: every statement pays for this."""
    if type(result) is not Result:
        return weigh(result)
    rows = result.rows
    if not rows:
        return _NO_ROWS
    sample = rows[:: len(rows) // SAMPLED_ROWS + 1]
    size = 0
    for row in sample:
        for value in row:
            if type(value) is str or type(value) is bytes:
                size += len(value)
    return Weight(len(rows), (size // len(sample) + len(rows[0]) * VALUE_BYTES) * len(rows))


def _execute(
    database: Database, sql: str, parameters: Sequence[Mapping[str, object]], transaction: Transaction
) -> Result:
    return statement.execute(database.environment, transaction, sql, parameters)


def _change_some(database: Database, sql: str, place: bytes | None, transaction: Transaction) -> bytes | None:
    return statement.change_concurrently(database.environment, transaction, sql, place)


def _find(savepoints: list[_NamedSavepoint], name: str) -> int:
    for place in range(len(savepoints) - 1, -1, -1):
        if savepoints[place].name == name:
            return place
    raise ProgrammingError(f'savepoint "{name}" does not exist', sqlstate="3B001")


def _set_savepoint(savepoints: list[_NamedSavepoint], name: str, transaction: Transaction) -> None:
    savepoints.append(_NamedSavepoint(name, transaction.savepoint()))


def _rollback_to(savepoints: list[_NamedSavepoint], name: str, transaction: Transaction) -> None:
    place = _find(savepoints, name)
    transaction.rollback_to(savepoints[place].savepoint)
    del savepoints[place + 1 :]


def _release(savepoints: list[_NamedSavepoint], name: str, transaction: Transaction) -> None:
    del savepoints[_find(savepoints, name) :]

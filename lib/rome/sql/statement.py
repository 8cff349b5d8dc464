"""The sentence: SQL text → parse → bind → plan → optimize → execute.

`execute` is all of it on one screen. What can be done once for a text is done once and kept in `Plans`; what remains
for each execution is to fill the slots and run the operators.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import datetime
from functools import partial
from operator import itemgetter

from rome.errors import (
    DatabaseError,
    InternalError,
    OperationalError,
    ProgrammingError,
    TypeMismatch,
)
from rome.sql import definition, explain, syntax
from rome.sql.access import takes_numbers
from rome.sql.advice import advice
from rome.sql.bound import ColumnRef, Const, Slot, array, row_set
from rome.sql.changes import bind_over_row, compute, default_of, plan_delete, plan_insert, plan_update
from rome.sql.declared import USUAL, Manners, declared
from rome.sql.execute.apply import scalar_of
from rome.sql.execute.build import build
from rome.sql.execute.change import Changed, ChangeOperator, InsertRows
from rome.sql.execute.lock import RowsMoved
from rome.sql.execute.operator import Context, Locking, Operator, Profile, Row
from rome.sql.expr import Bindings, scalar
from rome.sql.foresight import Foresight
from rome.sql.optimize import optimize
from rome.sql.parameters import value_of
from rome.sql.parse import parse
from rome.sql.plan import Plan, SlotSource
from rome.sql.planner import plan_query
from rome.sql.scope import Scope, StatementScope
from rome.sql.siblings import Habit, Repeats
from rome.sql.views import columns_of, table_for
from rome.table.catalog import CatalogCache
from rome.table.convert import convert, converter
from rome.table.keys import Keys
from rome.table.schema import Catalog, Column, Table, View
from rome.table.schema import Sequence as Sequence_
from rome.table.sequences import Sequences
from rome.txn.transaction import Ahead, GuardChanged, Transaction
from rome.txn.wave import Step, Wave, together
from rome.values import TEXT, Kind, SqlType

KEPT_PLANS = 1024

Parameters = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """A column of a result: its name, its SQL type, and whether it can hold NULL."""

    name: str
    type: SqlType
    nullable: bool


@dataclass(frozen=True, slots=True)
class Result:
    """What a statement did.

    `columns` is None for a statement without rows. `rowcount` counts the rows of a query, the rows inserted, or those
    that an UPDATE or DELETE matched; -1 for a definition. `lastrowid` is the number that the last row of an INSERT has
    in a one-column integer primary key. Two results are equal when an application could not tell them apart.
    """

    columns: tuple[ResultColumn, ...] | None
    rows: list[Row]
    rowcount: int
    lastrowid: int | None = None


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement ready to run: operators for its subqueries and for itself, and the slots they share.

    `levels` are the places in `queries` that can run side by side, in order. `positional` counts the `?` in the text,
    `locks` says that FOR UPDATE stands in it, `habit` how its runs follow each other; None: nothing is read ahead for
    it. It holds while the catalogue has the very same `entries`.
    """

    root: Operator
    queries: tuple[Operator, ...]
    levels: tuple[tuple[int, ...], ...]
    slots: tuple[SlotSource, ...]
    columns: tuple[ResultColumn, ...] | None
    entries: tuple[Table | View | Sequence_, ...]
    positional: int
    locks: bool
    sql: str
    habit: Habit | None = None
    explain: syntax.Explain | None = None

    def holds(self, catalog: Catalog) -> bool:
        return all(map(catalog.has, self.entries))


class Plans:
    """Compiled statements by text, the least recently used forgotten first. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Compiled | syntax.Definition] = OrderedDict()

    def get(self, sql: str) -> Compiled | syntax.Definition | None:
        with self._lock:
            found = self._kept.get(sql)
            if found is not None:
                self._kept.move_to_end(sql)
            return found

    def keep(self, sql: str, compiled: Compiled | syntax.Definition) -> None:
        with self._lock:
            self._kept[sql] = compiled
            while len(self._kept) > KEPT_PLANS:
                self._kept.popitem(last=False)


@dataclass(slots=True)
class Environment:
    """What the statements of one opened database share.

    `clock` gives the time in UTC, without tzinfo; `draw` a random number from 0 to below 1; `timer` counts seconds.
    `prefetch` says whether what a repeated statement will need next is read ahead, `manners` what new tables declare.
    """

    keys: Keys
    catalogs: CatalogCache
    sequences: Sequences
    clock: Callable[[], datetime]
    draw: Callable[[], float]
    timer: Callable[[], float]
    plans: Plans = field(default_factory=Plans)
    prefetch: bool = True
    foresight: Foresight | None = None
    manners: Manners = USUAL


def execute(env: Environment, tx: Transaction, sql: str, parameters: Sequence[Parameters]) -> Result:
    """Run one statement in `tx`, once for each mapping of `parameters`; positional ones are called "?1", "?2", …

    A statement that fails leaves no trace in the transaction. Raises the errors of `rome.errors`; those about the text
    show the place with a caret.
    """
    tx.begin_statement()
    savepoint = tx.savepoint()
    drawn = tx.tape.place()
    done = False
    try:
        while True:
            try:
                result = _attempt(env, tx, sql, parameters)
                done = True
                return result
            except GuardChanged:
                tx.rollback_to(savepoint)
                tx.tape.back_to(drawn)
                tx.run(env.catalogs.load(tx))
                savepoint = tx.savepoint()
    except RecursionError:
        raise ProgrammingError("the statement is nested too deeply", sqlstate="54001") from None
    except MemoryError as error:
        message = "the rows of this statement take more memory than the process has: ask for fewer, or join less"
        raise OperationalError(message, sqlstate="53200") from error.with_traceback(None)  # its frames hold the rows
    finally:
        if not done and tx.active:
            tx.rollback_to(savepoint)


def _attempt(env: Environment, tx: Transaction, sql: str, parameters: Sequence[Parameters]) -> Result:
    """The statement, planned on a catalogue that is or turns out to be the newest; else GuardChanged.

    Neither an error nor an answer that took no read leaves here before the catalogue has been looked at: a table that
    this process has not heard of may be there, one that it knows may be gone.
    """
    try:
        compiled = _compiled(env, _planning_catalog(env, tx), sql)
        if isinstance(compiled, Compiled):
            result = _run(env, tx, compiled, parameters)
        else:
            result = _define(env, tx, sql, compiled)
    except OperationalError:
        raise
    except DatabaseError:
        _check_guard(env, tx)
        raise
    if not isinstance(compiled, Compiled) or compiled.entries:
        _check_guard(env, tx)
    return result


def _check_guard(env: Environment, tx: Transaction) -> None:
    """Raise GuardChanged unless the catalogue that the transaction plans on is the newest."""
    if not tx.guard_checked:
        tx.run(env.catalogs.look())


def catalog(env: Environment, tx: Transaction) -> Catalog:
    """The catalogue as the transaction sees it."""
    while True:
        try:
            return tx.run(env.catalogs.load(tx))
        except GuardChanged:
            continue


def _planning_catalog(env: Environment, tx: Transaction) -> Catalog:
    """The catalogue to plan on: the transaction's, which its first wave checks if it was not read in it."""
    if not isinstance(tx.context, Catalog):
        return tx.run(env.catalogs.load(tx))
    return tx.context


# ---- text to operators ---------------------------------------------------------------------------------------------


def _compiled(env: Environment, catalog: Catalog, sql: str) -> Compiled | syntax.Definition:
    """The statement ready to run, from the kept plans or made anew."""
    found = env.plans.get(sql)
    if found is not None and not (isinstance(found, Compiled) and not found.holds(catalog)):
        return found
    node = parse(sql)
    if isinstance(node, syntax.Definition):
        env.plans.keep(sql, node)
        return node
    explained = node if isinstance(node, syntax.Explain) else None
    if explained is not None:
        node = explained.statement
        if isinstance(node, syntax.Definition):
            raise ProgrammingError("EXPLAIN takes a query, an INSERT, an UPDATE or a DELETE")
    compiled = _compile(env, catalog, sql, node, explained)
    env.plans.keep(sql, compiled)
    return compiled


def _compile(
    env: Environment, catalog: Catalog, sql: str, node: syntax.Statement, explained: syntax.Explain | None
) -> Compiled:
    scope = StatementScope(sql, catalog)
    root = optimize(_planned(scope, node))
    queries = [optimize(query) for query in scope.queries]
    operator = build(root, env.keys)
    operators = tuple(build(query, env.keys) for query in queries)
    columns: tuple[ResultColumn, ...] | None = None
    if explained is not None:
        columns = (ResultColumn("plan", TEXT, False),)
    elif root.output or isinstance(node, syntax.Query):
        columns = tuple(ResultColumn(column.name, column.type, column.nullable) for column in root.output)
    levels = _levels(queries, scope.slots)
    entries = tuple(scope.entries.values())
    positional = sum(name.startswith("?") for name in scope.parameters)
    slots = tuple(scope.slots)
    habit = None if isinstance(operator, ChangeOperator) or scope.locks or not _can_repeat(slots, entries) else Habit()
    locks, text = scope.locks, scope.sql
    return Compiled(operator, operators, levels, slots, columns, entries, positional, locks, text, habit, explained)


def _can_repeat(slots: Sequence[SlotSource], entries: Iterable[Table | View | Sequence_]) -> bool:
    """Whether a statement has parameters, the types of all known before their values, and takes no numbers."""
    if any(isinstance(entry, Sequence_) for entry in entries):
        return False
    given = [source for source in slots if source.name is not None]
    return bool(given) and all(source.column.type.kind is not Kind.NULL for source in given)


def _planned(scope: StatementScope, node: syntax.Statement) -> Plan:
    match node:
        case syntax.Query():
            return plan_query(scope, node, Scope(scope.sql))
        case syntax.Insert():
            return plan_insert(scope, node)
        case syntax.Update():
            return plan_update(scope, node)
        case syntax.Delete():
            return plan_delete(scope, node)
    raise AssertionError(f"no plan for {type(node).__name__}")


def _levels(queries: Sequence[Plan], slots: Sequence[SlotSource]) -> tuple[tuple[int, ...], ...]:
    """Which subqueries can run side by side: a level needs only the results of the levels before it."""
    level_of: dict[int, int] = {}
    for place, query in enumerate(queries):
        needed = {slots[index].query for index in _slots_in(query)}
        level_of[place] = 1 + max((level_of[each] for each in needed if each is not None), default=-1)
    depth = 1 + max(level_of.values(), default=-1)
    return tuple(tuple(place for place, level in level_of.items() if level == each) for each in range(depth))


def _slots_in(node: object) -> set[int]:
    """The slots that a plan, or any part of one, uses."""
    if isinstance(node, Slot):
        return {node.index}
    if isinstance(node, (Table, ColumnRef, Const)):
        return set()
    if isinstance(node, tuple):
        return {index for part in node for index in _slots_in(part)}
    if is_dataclass(node):
        return {index for item in fields(node) for index in _slots_in(getattr(node, item.name))}
    return set()


# ---- operators to results ------------------------------------------------------------------------------------------


def _run(env: Environment, tx: Transaction, compiled: Compiled, parameters: Sequence[Parameters]) -> Result:
    try:
        return _run_typed(env, tx, compiled, parameters)
    except TypeError as error:
        tables = [entry for entry in compiled.entries if isinstance(entry, Table)]
        if any(column.type.flexible for table in tables for column in table.columns):
            message = f"a string in a flexible INTEGER column can be compared by = alone: {error}"
            raise TypeMismatch(message) from error
        if not any(source.column.type.kind is Kind.NULL for source in compiled.slots):
            raise
        # The types of parameters that no context settles are known only by their values, and these do not fit.
        message = f"the parameters' types do not go together: {error}; write CAST(:parameter AS type)"
        raise TypeMismatch(message) from error


def _run_typed(env: Environment, tx: Transaction, compiled: Compiled, parameters: Sequence[Parameters]) -> Result:
    if not compiled.locks:
        return _run_once(env, tx, compiled, parameters)
    tx.hold_statement()
    skipped: set[bytes] = tx.draw(set, "rows skipped")  # a replay leaves out the same
    locking = Locking(tx.mark(), skipped)
    while True:
        try:
            return _run_once(env, tx, compiled, parameters, locking)
        except RowsMoved:
            tx.back_to(locking.start)


def _run_once(
    env: Environment,
    tx: Transaction,
    compiled: Compiled,
    parameters: Sequence[Parameters],
    locking: Locking | None = None,
) -> Result:
    if compiled.explain is not None:
        return _explained(env, tx, compiled, parameters[0] if parameters else {}, locking)
    if len(parameters) == 1:
        context = _context(env, tx, compiled, parameters[0], locking=locking)
        return _repeatable(env, tx, compiled, parameters[0], context)
    loaded = _loaded(env, tx, compiled, parameters)
    if loaded is not None:
        return loaded
    contexts = [_context(env, tx, compiled, each, locking=locking) for each in parameters]
    if _batches(compiled, contexts):
        assert isinstance(compiled.root, ChangeOperator)
        return _changed(compiled, tx.run(compiled.root.change(contexts)))
    rows: list[Row] = []
    count = 0
    number = None
    for context in contexts:
        result = tx.run(_one(compiled, context))
        rows += result.rows
        count += max(result.rowcount, 0)
        number = result.lastrowid
    return Result(compiled.columns, rows, count, number)


def _loaded(
    env: Environment, tx: Transaction, compiled: Compiled, parameters: Sequence[Parameters]
) -> Result | None:
    """executemany of INSERT … VALUES with plain parameters, made column by column; None where that is not to be done.

    Whatever is wrong with a parameter is told by who takes them one by one.
    """
    root = compiled.root
    if type(root) is not InsertRows or not root.batches or compiled.queries or not parameters:
        return None
    names = [source.name for source in compiled.slots]
    if None in names or any(len(each) > compiled.positional and "?1" in each for each in parameters):
        return None
    try:
        given = [list(map(itemgetter(name), parameters)) for name in names]
    except KeyError:
        return None
    context = _context(env, tx, compiled, parameters[0])
    rows = root.loaded(given, len(parameters), context.bindings)
    return None if rows is None else _changed(compiled, tx.run(root.insert(context, rows)))


def _repeatable(
    env: Environment, tx: Transaction, compiled: Compiled, parameters: Parameters, context: Context
) -> Result:
    """One run of a statement that may be one of many, and what the next ones need read along with it."""
    if not env.prefetch or not tx.reads_one_state:
        return tx.run(_one(compiled, context))
    if not isinstance(tx.repeats, Repeats):
        tx.repeats = Repeats()
    ahead: Ahead | None = None
    if env.foresight is not None and not tx.has_read:
        course = env.foresight.begin(compiled.sql, parameters, near=tx.is_near, far=tx.is_far)
        tx.follow_course(course)
        ahead = course.ahead
    if compiled.habit is not None:
        reads = partial(_first_reads, compiled, context)
        ahead = tx.repeats.begin(compiled, compiled.habit, parameters, reads) or ahead
    result = tx.run(_one(compiled, context), ahead)
    tx.repeats.end(compiled, compiled.habit, result.rows)
    return result


def _first_reads(compiled: Compiled, context: Context, changed: Parameters) -> Wave:
    """What a run with a `changed` parameter would read first; asked before the run itself has read anything."""
    slots = list(context.bindings.slots)
    for place, source in enumerate(compiled.slots):
        if source.name in changed:
            slots[place] = value_of(source, changed)
    bindings = context.bindings._replace(slots=slots, draw=_no_draw, next_value=_no_number)
    step = _one(compiled, context._replace(bindings=bindings, profile=None))
    try:
        return next(step)
    except StopIteration:
        return Wave()
    finally:
        step.close()


def _no_draw() -> float:
    raise InternalError("what is read ahead draws no random numbers")


def _no_number(name: str) -> int:
    raise InternalError(f'what is read ahead takes no number of the sequence "{name}"')


def _batches(compiled: Compiled, contexts: Sequence[Context]) -> bool:
    """Whether executemany may be one statement: no set of parameters can see what another one does."""
    root = compiled.root
    if not (isinstance(root, ChangeOperator) and root.batches) or compiled.queries or not contexts:
        return False
    if isinstance(root, InsertRows):
        return True
    parameters = [tuple(context.bindings.slots) for context in contexts]
    keys = root.key_slots
    return len({tuple(slots[index] for index in keys) for slots in parameters}) == len(contexts)


def _changed(compiled: Compiled, changed: Changed) -> Result:
    return Result(compiled.columns, changed.rows, changed.matched, changed.lastrowid)


def _one(compiled: Compiled, context: Context) -> Step[Result]:
    """The subqueries, level by level, then the statement itself."""
    slots = context.bindings.slots
    for level in compiled.levels:
        answers = yield from together([compiled.queries[place].rows(context) for place in level])
        for source in compiled.slots:
            if source.query in level:
                slots[source.index] = _slot_value(source, answers[level.index(source.query)])  # type: ignore[index]
    root = compiled.root
    if isinstance(root, ChangeOperator):
        return _changed(compiled, (yield from root.change([context])))
    rows = yield from root.rows(context)
    return Result(compiled.columns, rows, len(rows))


def _slot_value(source: SlotSource, rows: list[Row]) -> object:
    if source.rows:
        return rows
    if source.members:
        return row_set(rows)
    if source.array:
        return array([row[0] for row in rows])
    return bool(rows) if source.exists else scalar_of(rows)


def _context(
    env: Environment,
    tx: Transaction,
    compiled: Compiled,
    parameters: Parameters,
    profile: Profile | None = None,
    locking: Locking | None = None,
) -> Context:
    assert isinstance(tx.context, Catalog)
    if len(parameters) > compiled.positional and "?1" in parameters:
        message = f"the statement has {compiled.positional} ? but {len(parameters)} parameters were given"
        raise ProgrammingError(message, sqlstate="07001")
    slots = [value_of(source, parameters) for source in compiled.slots]
    bindings = _bindings(env, tx, tx.context, slots)
    return Context(tx, env.keys, tx.context, env.sequences, bindings, profile, locking)


def _bindings(env: Environment, tx: Transaction, catalog: Catalog, slots: list[object]) -> Bindings:
    return Bindings(
        slots,
        tx.draw(env.clock),
        lambda: tx.draw(env.draw),
        next_value=lambda name: env.sequences.next_value(tx, catalog.sequences[name.lower()]),
    )


def _explained(
    env: Environment, tx: Transaction, compiled: Compiled, parameters: Parameters, locking: Locking | None
) -> Result:
    """EXPLAIN: the plan; EXPLAIN ANALYZE: run it too, and say what each operator did."""
    assert compiled.explain is not None
    profile, before, started = None, tx.stats, env.timer()
    if compiled.explain.analyze:
        profile = Profile(env.timer)
        _repeatable(env, tx, compiled, parameters, _context(env, tx, compiled, parameters, profile, locking))
    lines = explain.lines(compiled.root, compiled.queries, profile)
    if profile is not None:
        lines += advice([compiled.root, *compiled.queries], profile)
        lines.append(explain.total(before, tx.stats, (env.timer() - started) * 1000))
    return Result(compiled.columns, [(line,) for line in lines], len(lines))


# ---- definitions ---------------------------------------------------------------------------------------------------


def _define(env: Environment, tx: Transaction, sql: str, node: syntax.Definition) -> Result:
    """CREATE, ALTER, DROP and COMMENT: change the transaction's catalogue."""
    current = catalog(env, tx)
    if isinstance(node, syntax.CreateTableAs):
        if node.if_not_exists and (node.name.lower() in current.tables or node.name.lower() in current.views):
            return Result(None, [], -1)
        _define(env, tx, sql, table_for(sql, current, node))
        insert = syntax.Insert(syntax.TableName(node.name, at=node.at), (), node.query, at=node.at)
        return replace(_run(env, tx, _compile(env, catalog(env, tx), sql, insert, None), [{}]), rowcount=-1)
    tx.context = tx.run(definition.define(declared(node, env.manners), _work(env, tx, current)))
    return Result(None, [], -1)


def change_concurrently(env: Environment, tx: Transaction, sql: str, place: bytes | None) -> bytes | None:
    """One transaction of what is written with CONCURRENTLY: with None the first one, then with what the last one
    returned, until that is None.
    """
    tx.begin_statement()
    node = parse(sql)
    if not isinstance(node, syntax.CreateIndex | syntax.DropIndex):
        raise InternalError("neither CREATE INDEX nor DROP INDEX")
    tx.context, place = tx.run(definition.change_concurrently(_work(env, tx, catalog(env, tx)), node, place))
    return place


def _work(env: Environment, tx: Transaction, current: Catalog) -> definition.Work:
    hooks = definition.Hooks(
        constant=lambda table, column: _default_value(env, tx, current, table, column),
        condition=lambda table, sql: _row_condition(env, tx, current, table, sql),
        computed=lambda table, column: _row_value(env, tx, current, table, column),
        view=columns_of,
    )
    return definition.Work(tx, env.keys, current, hooks)


def _default_value(env: Environment, tx: Transaction, catalog: Catalog, table: Table, column: Column) -> object:
    """The value of a column's default for rows that exist already."""
    default = default_of(StatementScope("", catalog), column)
    if default is None or takes_numbers(default):
        return None
    bindings = _bindings(env, tx, catalog, [])
    return convert(scalar(default, {})((), bindings), column.type, f"{table.name}.{column.name}")


def _row_condition(
    env: Environment, tx: Transaction, catalog: Catalog, table: Table, sql: str
) -> Callable[[Row], object]:
    """A CHECK condition as a function of a row: True, False or None for unknown."""
    scope = StatementScope(sql, catalog)
    row = tuple(scope.column(column.type, column.name) for column in table.columns)
    truth = scalar(bind_over_row(scope, table, row, sql), {column.column: at for at, column in enumerate(row)})
    bindings = _bindings(env, tx, catalog, [])
    return lambda values: truth(values, bindings)


def _row_value(
    env: Environment, tx: Transaction, catalog: Catalog, table: Table, column: Column
) -> Callable[[Row], object]:
    """A computed column as a function of a row, which may lack the column itself."""
    scope = StatementScope("", catalog)
    row = tuple(scope.column(each.type, each.name) for each in table.columns)
    value = scalar(compute(scope, table, row, column), {each.column: at for at, each in enumerate(row)})
    store = converter(column.type, f"{table.name}.{column.name}")
    bindings = _bindings(env, tx, catalog, [])
    return lambda values: store(value(values, bindings))

"""Planning of FOR UPDATE: whose rows it is about, and what tells them apart in the rows of the answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NoReturn

from rome.driver.api import Patience
from rome.errors import NotSupportedError, UndefinedTable
from rome.sql import syntax
from rome.sql.bound import ColumnRef
from rome.sql.plan import Limit, Lock, LockTarget, Plan, Project, Scan, inputs
from rome.sql.scope import Relation, Scope, StatementScope, did_you_mean
from rome.sql.windows import SelectBinder

Locked = tuple[Scan, str]  # the scan of a base table, and its name in the query


def refuse_lock(statement: StatementScope, lock: syntax.Lock, what: str) -> NoReturn:
    """NotSupportedError: `what` stands in the query of `lock`."""
    message = f"FOR UPDATE cannot stand with {what}: no row of a table can be told there"
    raise NotSupportedError(statement.place(lock.at).describe(message))


def check_lock(statement: StatementScope, lock: syntax.Lock, select: syntax.Select, binder: SelectBinder) -> None:
    """Refuse `lock` where a row of the answer is not made of one row of each table. Every clause is bound by now."""
    reasons = {
        "DISTINCT": select.distinct,
        "GROUP BY": bool(select.group_by),
        "HAVING": select.having is not None,
        "aggregates": binder.has_aggregates,
        "window functions": binder.has_windows,
        "columns of the query around its own": bool(binder.scope.free),
    }
    for what, there in reasons.items():
        if there:
            refuse_lock(statement, lock, what)


def locked_scans(statement: StatementScope, lock: syntax.Lock, scope: Scope, source: Plan) -> list[Locked]:
    """The scans, below the plan `source` of a FROM clause, of the tables whose rows `lock` is about."""
    statement.locks = True
    scans = {scan.output[0].column: scan for scan in _scans(source)}
    found = {}
    for relation in [_named(statement, scope, table) for table in lock.of] or scope.relations:
        if relation.locked:
            continue  # as SQLAlchemy writes it for joined loading of a limited query
        if relation.table is None:
            refuse_lock(statement, lock, f'the query "{relation.alias}" in FROM (OF can name the tables beside it)')
        if relation.table.temporary:
            continue  # no one else has its rows
        scan = scans[relation.columns[0][1].column]
        found[scan.output[0].column] = (scan, relation.alias)
    return list(found.values())


def lock_rows(statement: StatementScope, lock: syntax.Lock, scans: Sequence[Locked], rows: Project) -> Plan:
    """`rows`, locked: the row keys of `scans` travel below it as columns that the answer does not show.

    With SKIP LOCKED a LIMIT counts the rows that were got: the Lock counts them, and the Limit below lets as many more
    pass as are known to be another's.
    """
    keys: list[ColumnRef] = []
    targets = []
    for scan, alias in scans:
        own = _key_columns(scan)
        width = len(rows.output) + len(keys)
        targets.append(LockTarget(scan.table, alias, tuple(range(width, width + len(own)))))
        keys += own
    limit = offset = None
    child = rows.child
    if lock.patience is Patience.SKIP and isinstance(child, Limit):
        limit, offset = child.limit, child.offset
        child = Limit(child.child, limit, offset, spare=True)
    hidden = tuple(statement.column(key.type, key.name, key.nullable) for key in keys)
    with_keys = Project(child, (*rows.expressions, *keys), (*rows.output, *hidden))
    return Lock(with_keys, tuple(targets), lock.patience, rows.output, limit, offset)


def _key_columns(scan: Scan) -> list[ColumnRef]:
    """The columns of `scan` that make its row keys: the primary key, or the row number behind the columns."""
    table = scan.table
    return [scan.output[place] for place in table.primary_positions] if table.primary_key else [scan.output[-1]]


def _scans(plan: Plan) -> Iterator[Scan]:
    if isinstance(plan, Scan):
        yield plan
    for child in inputs(plan):
        yield from _scans(child)


def _named(statement: StatementScope, scope: Scope, name: syntax.TableName) -> Relation:
    """The item of FROM that OF names."""
    for relation in scope.relations:
        if relation.alias.lower() == name.name.lower():
            return relation
    hint = did_you_mean(name.name, [relation.alias for relation in scope.relations])
    message = f'no table "{name.name}" in the FROM of this FOR UPDATE{hint}'
    raise UndefinedTable(statement.place(name.at).describe(message))


"""INSERT … ON CONFLICT: a row whose key is taken stays out, and may change the row that has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from rome.errors import ProgrammingError
from rome.sql import plan
from rome.sql.execute.change import Changed, InsertRows, defaults_of
from rome.sql.execute.operator import Context, Operator, Row, layout_of
from rome.sql.expr import Bindings, projection, scalar
from rome.table import rows as table_rows
from rome.table.conflicts import Proposed, claims_of, key_paths, look_up
from rome.table.constraints import duplicate
from rome.table.convert import converter
from rome.table.paths import KeyPath
from rome.table.sequences import numbered
from rome.txn.wave import Step


class _Given(NamedTuple):
    """A row to insert, and the set of parameters that it came with."""

    row: Row
    context: Context


class Upsert(InsertRows):
    def __init__(self, node: plan.Insert, conflict: plan.OnConflict, source: Operator) -> None:
        super().__init__(node, source)
        table = node.table
        self._keys = conflict.keys
        self._places = conflict.places
        columns = [table.columns[place] for place in conflict.places]
        self._converters = [converter(column.type, f"{table.name}.{column.name}") for column in columns]
        layout = layout_of((*conflict.old, *conflict.new))
        self._projection = projection(conflict.expressions, layout)
        self._condition = scalar(conflict.condition, layout) if conflict.condition is not None else None
        self._number = table.number_place
        looked_at = {
            place
            for key in conflict.keys
            for place in ([table.position[column] for column in key.columns] if key else table.primary_positions)
        }
        changed = {*conflict.places, *(place for place, _ in node.computed)}
        self.batches = self.batches and looked_at.isdisjoint(changed)

    def change(self, contexts: Sequence[Context]) -> Step[Changed]:
        found = yield from self.proposed(contexts)
        given = [_Given(row, each) for each, rows in zip(contexts, found, strict=True) for row in rows]
        affected: list[Row] = []
        for run in self._runs(given):
            affected += yield from self._run_of(run)
        return self.outcome([row[: len(self.table.columns)] for row in affected], contexts[0].bindings)

    def _paths(self, context: Context) -> list[KeyPath]:
        return key_paths(context.keys, context.catalog, self.table, self._keys)

    def _runs(self, given: list[_Given]) -> Iterator[list[_Given]]:
        """`given` in parts, in each of which a row changes once, unless a single set of parameters has it twice."""
        if not self._places:
            yield given
            return
        run: list[_Given] = []
        owners: dict[bytes, Context] = {}
        for each in given:
            claims = [key for path in self._paths(each.context) for key in self._claims(path, each.row)]
            if any(owners.setdefault(key, each.context) is not each.context for key in claims):
                yield run
                run, owners = [], dict.fromkeys(claims, each.context)
            run.append(each)
        yield run

    def _claims(self, path: KeyPath, row: Row) -> tuple[bytes, ...]:
        """A key of a row that may have no number yet, and then has no key to meet another row with."""
        return () if None in [row[place] for place in path.places] else claims_of([path], row)

    def _run_of(self, run: list[_Given]) -> Step[list[Row]]:
        """One statement; the rows that it inserts or changes, as they are then."""
        if not run:
            return []
        context = run[0].context
        write = partial(self._write, run)
        rows = [each.row for each in run]
        if self.numbered:
            return (yield from numbered(context.tx, context.keys, context.sequences, self.table, rows, write))
        return (yield from write(rows, frozenset()))

    def _write(self, run: list[_Given], rows: list[Row], vacant: frozenset[bytes]) -> Step[list[Row]]:
        context = run[0].context
        tx, keys, catalog, table = context.tx, context.keys, context.catalog, self.table
        rows = self.completed(context.bindings, rows)
        self.checks.judge(rows, context.bindings)
        rows, vacant = table_rows.with_row_numbers(tx, keys, table, rows, vacant)
        found = yield from look_up(keys, catalog, table, self._paths(context), rows, vacant)
        self._refuse_drawn(run, found)
        taken: set[bytes] = set()
        inserts: list[Row] = []
        changes: list[tuple[Row, Row]] = []
        affected: list[Row] = []
        for each, proposed in zip(run, found, strict=True):
            again = not taken.isdisjoint(proposed.claims)
            if not (again or proposed.stored):
                inserts.append(proposed.row)
                affected.append(proposed.row)
            elif (new := self._changed(proposed, again, each.context.bindings)) is not None:
                changes.append((proposed.stored[0], new))
                affected.append(new)
            else:
                continue
            taken.update(proposed.claims)
        self.checks.judge([new for _, new in changes], context.bindings)
        yield from table_rows.put(tx, keys, catalog, table, inserts, changes, defaults_of(context), vacant)
        return affected

    def _changed(self, proposed: Proposed, again: bool, bindings: Bindings) -> Row | None:
        """What the stored row becomes; None when it stays as it is."""
        if not self._places:
            return None
        if again:
            message = f'two rows of the INSERT have one key, and "{self.table.name}" cannot change a row twice'
            raise ProgrammingError(f"{message}: give each key once", sqlstate="21000")
        old, columns = proposed.stored[0], len(self.table.columns)
        both = (*old[:columns], *proposed.row[:columns])
        if self._condition is not None and self._condition(both, bindings) is not True:
            return None
        new = list(old)
        values = self._projection([both], bindings)[0]
        for place, convert, value in zip(self._places, self._converters, values, strict=True):
            new[place] = convert(value)
        return self.completed(bindings, [tuple(new)])[0]

    def _refuse_drawn(self, run: list[_Given], found: list[Proposed]) -> None:
        """A number that was drawn for a row is no key that the row was given: another one having it is no conflict."""
        place = self._number
        if place is None:
            return
        for each, proposed in zip(run, found, strict=True):
            if each.row[place] is None and any(stored[place] == proposed.row[place] for stored in proposed.stored):
                paths = [path for path in self._paths(each.context) if place in path.places]
                raise duplicate(self.table, paths[0], proposed.row)

"""Joins: by lookup (one wave for all left rows), or both sides in the same wave matched by hash."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain, takewhile
from operator import itemgetter

from rome.driver.api import Cell, Scan
from rome.sql import plan
from rome.sql.access import narrowing
from rome.sql.bound import ColumnRef, Compare, Expr, columns_of, conjunction, conjuncts
from rome.sql.execute.following import best_texts, texts_of
from rome.sql.execute.operator import Belonging, Context, Operator, Row, Sieve, Sieves, layout_of
from rome.sql.execute.ranges import KeyRanges, Reads
from rome.sql.expr import Bindings, predicate, projection
from rome.sql.rooted import outer_columns
from rome.table.keys import Keys
from rome.table.paths import batch_reader, index_path
from rome.txn.wave import Step, Wave, WaveResult, together

SMALL_TABLE_ROWS = 1024
RUNS_UNTIL_ANOTHER_LOOK = 100


class LookupJoin(Operator):
    """For every row of `base` the rows of one table or several under keys that it gives, all read in one wave.

    A chain of lookup joins whose keys all come from the same rows is one operator: its reads do not wait for each
    other.
    """

    def __init__(self, nodes: Sequence[plan.Join], base: Operator, keys: Keys) -> None:
        self.output = nodes[-1].output
        self.children = (base,)
        self.lookups = [Lookup(node, layout_of(base.output), keys) for node in nodes]
        self._base = base
        self._sieve = sieve_of(self.lookups)
        self._outer = all(node.kind == "LEFT" for node in nodes)
        self._small = SmallTable(self.lookups[0].scan, keys) if may_be_small(nodes) else None
        for lookup in self.lookups:
            lookup.ask(base, always=self._small is None)

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        if self._small is not None and self._small.worth_a_look():
            return (yield from self._beside_small(context, self._small))
        need = need if self._outer else None
        rows = (yield from self._base.rows(context, need))[:need]
        if not rows:
            return []
        seen = len(rows)
        found = yield from together([lookup.find(context.bindings, rows) for lookup in self.lookups])
        for lookup, matches in zip(self.lookups, found, strict=True):
            rows = lookup.joined(context.bindings, rows, matches)
        self._sieve.note(seen, len(rows))
        return rows

    def bring(self, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves | None = None) -> bool:
        if self._outer:
            return self._base.bring(columns, belonging, sieves)
        return sieves is not None and self._base.bring(columns, belonging, (*sieves, self._sieve))

    def _beside_small(self, context: Context, small: SmallTable) -> Step[list[Row]]:
        """With the table read whole in the wave that reads the base; looked up in the store if it is not small."""
        rows, entries = yield from together([self._base.rows(context), small.entries(context)])
        [lookup] = self.lookups
        step = lookup.find(context.bindings, rows) if rows else None
        if step is None:
            return []
        if entries is None:
            found = yield from step
        else:
            found = driven(step, entries)
        passed = lookup.joined(context.bindings, rows, found)
        self._sieve.note(len(rows), len(passed))
        return passed


class SmallTable:
    """A table that is looked up in, read whole beside the rows that give the keys: that saves a wave.

    Whether it is small is seen by reading it, up to a limit; after it was not, it is left alone for a while.
    """

    def __init__(self, scan: plan.Scan, keys: Keys) -> None:
        table, index = scan.table, scan.access.index
        # What is left to be judged later may be an error for a row that no key leads to.
        condition = conjunction(_used_by_access(scan))
        assert condition is not None
        self._wave = Wave((), (Scan(*keys.row_range(table), SMALL_TABLE_ROWS + 1),))
        self._read = batch_reader(keys, table)
        self._filter = predicate(condition, layout_of(scan.output))
        self._path = None if index is None else index_path(keys, table, index)
        self._rest = 0  # runs until the next look; threads may count one twice

    def worth_a_look(self) -> bool:
        if self._rest:
            self._rest -= 1
            return False
        return True

    def entries(self, context: Context) -> Step[list[tuple[bytes, Cell]] | None]:
        """The rows that can match, under the keys they are looked up by, in order; None if the table is not small."""
        answer = yield self._wave
        cells = answer.scans[0]
        if len(cells) > SMALL_TABLE_ROWS:
            self._rest = RUNS_UNTIL_ANOTHER_LOOK
            return None
        rows, path = self._read(cells), self._path
        kept = set(map(id, self._filter(rows, context.bindings)))
        found = [(row, cell) for row, cell in zip(rows, cells, strict=True) if id(row) in kept]
        if path is None:
            return [(cell.key, cell) for _, cell in found]
        return sorted(((path.key(row)[0], cell) for row, cell in found), key=itemgetter(0))


def may_be_small(nodes: Sequence[plan.Join]) -> bool:
    """Whether to try: an inner join that finds several rows by a key which is given in part, and in part looked up."""
    if len(nodes) != 1 or nodes[0].kind != "INNER":
        return False
    scan = nodes[0].right
    assert isinstance(scan, plan.Scan)
    table, index = scan.table, scan.access.index
    columns = table.primary_key if index is None else index.columns
    one_row = len(scan.access.equals) == len(columns) and (index is None or index.unique)
    # Where an index leads to what its conditions find, that is the other way, and tried in a race.
    led_to = any(candidate.rank[1] for candidate in narrowing(scan, conjuncts(scan.condition)))
    return bool(_used_by_access(scan)) and not one_row and not led_to


def _used_by_access(scan: plan.Scan) -> list[Expr]:
    """The conditions on the table alone that its access path sees to."""
    residual = set(map(id, conjuncts(scan.residual)))
    return [part for part in conjuncts(scan.condition) if id(part) not in residual]


def driven(step: Step[dict[object, list[Row]]], entries: list[tuple[bytes, Cell]]) -> dict[object, list[Row]]:
    """The value of a lookup's step, its one wave answered from the entries of the table."""
    keys = [key for key, _ in entries]
    try:
        wave = next(step)
        scans: list[list[Cell]] = []
        for scan in wave.scans:
            scans.append([cell for _, cell in entries[bisect_left(keys, scan.start) : bisect_left(keys, scan.stop)]])
        step.send(WaveResult([], scans, [list(found) for found in scans]))
    except StopIteration as stop:
        found: dict[object, list[Row]] = stop.value
        return found
    raise AssertionError("a lookup is one wave")


class Lookup:
    """One table looked up by keys from rows that begin with those of the base."""

    def __init__(self, node: plan.Join, layout: dict[int, int], keys: Keys) -> None:
        assert isinstance(node.right, plan.Scan)
        self.node = node
        self.scan = node.right
        self._ranges = KeyRanges(node.right, keys, layout)
        places = sorted(layout[number] for number in outer_columns(node.right) if number in layout)
        self.key = itemgetter(*places)
        residual = node.right.residual
        self._filter = predicate(residual, layout_of(node.right.output)) if residual is not None else None
        condition = node.condition
        self._condition = predicate(condition, layout_of(node.output)) if condition is not None else None
        self._padding = (None,) * len(node.right.output) if node.kind == "LEFT" else None
        self._belonging = _belonging(node.right, keys)
        self._passing = Sieve()
        self.reduces: int | None = None
        """The outer column by whose bytes in a key the base can leave rows out before it reads them, if it can."""
        self.brought = False  # whether the base reads it along
        self.brought_from_afar = False  # whether it does so if the store is far away

    def ask(self, base: Operator, always: bool) -> None:
        """Ask the base to fetch the table's rows along; not `always`: only from afar."""
        if self._belonging is not None:
            columns, belonging, whole = self._belonging
            self.brought = always and whole and base.bring(columns, belonging)
            self.brought_from_afar = not self.brought and base.bring(columns, belonging, ())

    @property
    def share(self) -> float:
        """For how many of the keys that were looked up lately something was found; 1 where that is not known."""
        return self._passing.share

    def offer(self, leaves_out: Callable[[int], bool]) -> None:
        """Have the base leave rows out by what an INNER lookup finds, if it can by the column that this is for."""
        column = self._ranges.given_by if self.node.kind == "INNER" else None
        self.reduces = column if column is not None and leaves_out(column) else None

    def sieve(self) -> Sieve | None:
        """Of an INNER lookup: what tells which rows pass from what is looked up, where that must have a text in it."""
        if self.node.kind != "INNER" or self._belonging is None:
            return None
        scan = self.scan
        known = [*texts_of(scan, scan.residual)] or [*texts_of(scan, scan.condition)]
        return Sieve(self._belonging[1], partial(best_texts, known)) if known else None

    def find(self, bindings: Bindings, base: list[Row]) -> Step[dict[object, list[Row]]]:
        """The table's rows for each distinct key of the base rows; equal keys are read once."""
        distinct = {self.key(row): row for row in base}
        reads = self._ranges.reads_of(list(distinct.values()), bindings)
        return dict(zip(distinct, (yield from self._found(reads, bindings)), strict=True))

    def codes_of(self, base: list[Row]) -> list[bytes | None]:
        """The bytes in a key of the column `reduces` of each row; None where nothing can be found."""
        return self._ranges.codes_of(base)

    def find_at(self, bindings: Bindings, codes: Sequence[bytes]) -> Step[list[list[Row]]]:
        """The table's rows for outer rows of which the column `reduces` has these bytes in a key."""
        return (yield from self._found(self._ranges.reads_at(codes, bindings), bindings))

    def _found(self, reads: Reads, bindings: Bindings) -> Step[list[list[Row]]]:
        gets, scans, places = reads
        if not gets and not scans:
            return [[] for _ in places]
        found = self._ranges.rows_at((yield Wave(gets, scans)))
        if self._filter is not None:
            every = list(chain.from_iterable(found))
            kept = self._filter(every, bindings)
            if len(kept) < len(every):
                passed = set(map(id, kept))
                found = [[row for row in rows if id(row) in passed] for rows in found]
        of_each = [
            found[own[0]] if len(own) == 1 else list(chain.from_iterable([found[at] for at in own])) for own in places
        ]
        if self.reduces is not None:
            self._passing.note(len(of_each), sum(map(bool, of_each)))
        return of_each

    def joined(self, bindings: Bindings, rows: list[Row], found: dict[object, list[Row]]) -> list[Row]:
        """`rows` with what was found for each of them."""
        joined: list[Row] = []
        key, padding, condition = self.key, self._padding, self._condition
        for row in rows:
            matches = [row + other for other in found[key(row)]]
            if condition is not None and matches:
                matches = condition(matches, bindings)
            if matches:
                joined += matches
            elif padding is not None:
                joined.append(row + padding)
        return joined


def sieve_of(lookups: Sequence[Lookup]) -> Sieve:
    """What leaves rows out that some of `lookups` find nothing for."""
    return next(filter(None, [lookup.sieve() for lookup in lookups]), Sieve())


def _belonging(scan: plan.Scan, keys: Keys) -> tuple[tuple[int, ...], Belonging, bool] | None:
    """The outer columns that an access path looks up by first of all, where, and whether there is no more to it."""
    access, table = scan.access, scan.table
    first = list(takewhile(lambda values: len(values) == 1 and isinstance(values[0], ColumnRef), access.equals))
    columns = tuple(value.column for (value,) in first if isinstance(value, ColumnRef))
    if not columns:
        return None
    whole = len(columns) == len(access.equals) and access.low is None and access.high is None
    if access.index is None:
        return columns, Belonging(keys.row_prefix(table), False), whole
    return columns, Belonging(keys.index_prefix(table, access.index), True), whole


class HashJoin(Operator):
    """Both sides read side by side; rows matched on equal keys, or all with all when there is no equality."""

    def __init__(self, node: plan.Join, left: Operator, right: Operator) -> None:
        self.output = node.output
        self.children = (left, right)
        self._left = left
        self._right = right
        self._kind = node.kind
        pairs, rest = _split(node)
        self._left_key = projection(tuple(a for a, _ in pairs), layout_of(left.output)) if pairs else None
        self._right_key = projection(tuple(b for _, b in pairs), layout_of(right.output)) if pairs else None
        self._condition = predicate(rest, layout_of(node.output)) if rest is not None else None
        self._left_padding = (None,) * len(left.output)
        self._right_padding = (None,) * len(right.output)

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        left, right = yield from together([self._left.rows(context), self._right.rows(context)])
        bindings, condition = context.bindings, self._condition
        candidates = self._candidates(left, right, context)
        matched_right: set[int] = set()
        joined: list[Row] = []
        for row, places in zip(left, candidates, strict=True):
            matches = [row + right[place] for place in places]
            if condition is not None and matches:
                if self._kind == "FULL":
                    kept = [place for place in places if condition([row + right[place]], bindings)]
                    matches, places = [row + right[place] for place in kept], kept
                else:
                    matches = condition(matches, bindings)
            if matches:
                joined += matches
                if self._kind == "FULL":
                    matched_right.update(places)
            elif self._kind != "INNER":
                joined.append(row + self._right_padding)
        if self._kind == "FULL":
            joined += [self._left_padding + row for at, row in enumerate(right) if at not in matched_right]
        return joined

    def _candidates(self, left: list[Row], right: list[Row], context: Context) -> list[list[int]]:
        """For each left row the places of the right rows with an equal key; NULL equals nothing."""
        if self._left_key is None or self._right_key is None:
            return [list(range(len(right)))] * len(left)
        table: dict[Row, list[int]] = {}
        for place, key in enumerate(self._right_key(right, context.bindings)):
            if None not in key:
                table.setdefault(key, []).append(place)
        nothing: list[int] = []
        return [table.get(key, nothing) for key in self._left_key(left, context.bindings)]


def _split(node: plan.Join) -> tuple[list[tuple[Expr, Expr]], Expr | None]:
    """The condition as equalities (left expression, right expression) and the rest."""
    left = {column.column for column in node.left.output}
    right = {column.column for column in node.right.output}
    pairs: list[tuple[Expr, Expr]] = []
    rest: list[Expr] = []
    for part in conjuncts(node.condition):
        if isinstance(part, Compare) and part.op == "=":
            a, b = columns_of(part.left), columns_of(part.right)
            if a and b and a <= left and b <= right:
                pairs.append((part.left, part.right))
                continue
            if a and b and a <= right and b <= left:
                pairs.append((part.right, part.left))
                continue
        rest.append(part)
    return pairs, conjunction(rest)

"""What a statement may do to rows: NOT NULL, uniqueness, references and their actions, judged for all rows together.

A statement is worked out before anything is written. Level by level, one wave asks for the cells that the level's rows
claim (primary key, UNIQUE), the parents they name and the children they leave; ON DELETE and ON UPDATE actions make the
rows of the next level. When no row is left, everything is judged on the state *after* the statement: what the store
holds, less what the statement takes away, plus what it brings. Then the writes are made, or none.

    NotNullViolation     NOT NULL constraint failed: images.id
    UniqueViolation      UNIQUE constraint failed: images.id, images.name (key uq_x, value 'a', 'b')
    ForeignKeyViolation  FOREIGN KEY constraint failed: table "tags" key "fk_x" references "images"
                         (columns image_id, value 'a'): no such row            [one line]
    ForeignKeyViolation  the same, ending with: the row is still referenced
    CheckViolation       CHECK constraint failed: images (check ck_size, condition size >= 0)

An unnamed key is called `-`, an unnamed primary key PRIMARY. docs/keys.md lists the shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple

from rome.driver.api import Cell, Scan
from rome.errors import (
    CheckViolation,
    DataError,
    ForeignKeyViolation,
    InternalError,
    NotNullViolation,
    NotSupportedError,
    UniqueViolation,
)
from rome.table import keycode, rowcode
from rome.table.convert import convert
from rome.table.keys import Keys
from rome.table.paths import ChildPath, KeyPath, ParentPath, TablePaths, paths_of, reader
from rome.table.rowcode import Row
from rome.table.schema import Action, Catalog, Check, Column, ForeignKey, Table
from rome.txn.transaction import Transaction
from rome.txn.wave import Step, Wave, WaveResult

PROBED_CHILDREN = 64
"""How many referencing rows are looked at first, where one that stays is enough to refuse."""

FEW_ROWS = 32
"""Of so many new rows at most it is taken down that they have no children yet."""

DefaultOf = Callable[[Table, Column], object]


def no_default(table: Table, column: Column) -> object:
    """For statements that cannot come to a SET DEFAULT."""
    raise NotSupportedError(f'SET DEFAULT on "{table.name}.{column.name}" is not done here: give default_of')


class Change(NamedTuple):
    """One row: brought (`old` None), replaced, or taken away (`new` None)."""

    table: Table
    old: Row | None
    new: Row | None


class _RowKey(NamedTuple):
    """One key that a row has after the statement."""

    path: KeyPath
    key: bytes
    alone: bool  # no other row may have it
    moved: bool  # the row did not have it before


class _RowState:
    """What the statement makes of one row. `new` changes when a later referential action reaches the row again."""

    __slots__ = ("_changed", "_keys", "_moved", "_of", "new", "old", "old_key", "paths")

    def __init__(self, paths: TablePaths, old: Row | None, new: Row | None, old_key: bytes | None) -> None:
        self.paths = paths
        self.old = old
        self.new = new
        self.old_key = old_key
        self._keys: list[_RowKey] = []
        self._changed: set[int] = set()
        self._moved: list[KeyPath] = []
        self._of: Row | None = None  # the row that all three are of

    def row_keys(self) -> list[_RowKey]:
        """The keys of `new`, that of the row first; without those of plain indexes that have not moved."""
        self._look()
        return self._keys if self.new is not None else []

    def changed(self) -> set[int]:
        """Where `new` differs from `old`, if there are both."""
        self._look()
        return self._changed

    def left(self) -> Sequence[KeyPath]:
        """The indexes in which a stored row loses its entry."""
        if self.new is None:
            return self.paths.indexes
        self._look()
        return self._moved

    def _look(self) -> None:
        new, old, paths = self.new, self.old, self.paths
        if new is None or self._of is new:
            return
        self._of = new
        self._changed = set() if old is None else {at for at, before in enumerate(old) if before != new[at]}
        self._moved = []
        row_key, alone = paths.row.key(new)
        identity = row_key[len(paths.row.prefix) :]
        self._keys = [_RowKey(paths.row, row_key, alone, old is None or paths.row.moved(self._changed))]
        for path in paths.indexes:
            moved = old is None or path.moved(self._changed)
            if moved:
                self._moved.append(path)
            if moved or path.unique:
                self._keys.append(_RowKey(path, *path.key(new, identity), moved))


class _Orphans(NamedTuple):
    """Children found behind a row that goes away under NO ACTION or RESTRICT."""

    action: str
    path: ChildPath
    values: tuple[object, ...]  # what they reference, as the foreign key lists it
    scan: Scan
    keys: list[bytes]  # of their rows


class _Level(NamedTuple):
    """What one wave asks for."""

    gets: dict[bytes, bool]  # whether it is hoped that there is such a cell
    vacant: list[bytes]  # keys that no one else can have
    scans: list[Scan]
    followed: list[tuple[_RowState, ChildPath, tuple[object, ...]]]  # one for each scan


def apply(
    tx: Transaction,
    keys: Keys,
    catalog: Catalog,
    changes: Sequence[Change],
    default_of: DefaultOf,
    vacant: frozenset[bytes] = frozenset(),
) -> Step[None]:
    """Judge `changes` and what follows from them, then write them all; see `rows` for the errors.

    `vacant` are keys that the changes bring and that no one else can have.
    """
    statement = _Statement(keys, catalog, default_of, vacant)
    fresh = [state for state in map(statement.admit, changes) if state is not None]
    while fresh:
        level = statement.reads(fresh)
        wave = Wave(list(level.gets), level.scans, level.vacant)
        if not any(wave):
            break
        recalled = None if level.scans else tx.recall(level.gets, level.vacant)
        if recalled is None:
            answer = yield wave
        else:
            answer = WaveResult([*recalled.values(), *[None] * len(level.vacant)], [], [])
        fresh = statement.follow(level, answer)
    statement.settle()
    yield from statement.check_orphans()
    tx.write_all(statement.writes)
    note_childless(tx, [(state.paths, state.new) for state in statement.states if state.new is not None])


def note_childless(tx: Transaction, brought: Sequence[tuple[TablePaths, Row]]) -> None:
    """Take down that new rows, if they are few, have no children yet: those whose keys the store does not have.

    No committed row references a key that is not there, so this holds as long as the key is absent, which the
    transaction expects. An image's properties, inserted after it, need not be looked for. Who brings many rows is not
    going to look for the children of each.
    """
    if len(brought) > FEW_ROWS:
        return
    for paths, row in brought:
        codes: dict[tuple[int, ...], list[bytes]] = {}  # of what the children reference; none if they may be there
        for child in paths.children:
            places = child.target_places
            if places not in codes:
                values = tuple([row[place] for place in places])
                new = None not in values and tx.is_absent(child.parent_key(values))
                codes[places] = keycode.encode_each(values) if new else []
            if codes[places]:
                for start, stop in child.ranges_of(codes[places]):
                    tx.note_empty(start, stop)


def reads_of_insert(
    keys: Keys, catalog: Catalog, table: Table, rows: Sequence[Row], vacant: frozenset[bytes]
) -> tuple[list[bytes], list[bytes]]:
    """What `apply` would read first to insert `rows`, and which of `vacant` they bring. Raises NotNullViolation."""
    statement = _Statement(keys, catalog, no_default, vacant)
    states = [statement.admit(Change(table, None, row)) for row in rows]
    level = statement.reads([state for state in states if state is not None])
    return list(level.gets), level.vacant


class _Statement:
    def __init__(self, keys: Keys, catalog: Catalog, default_of: DefaultOf, vacant: frozenset[bytes]) -> None:
        self.keys = keys
        self.catalog = catalog
        self.default_of = default_of
        self.vacant = vacant
        self.states: list[_RowState] = []
        self.stored: dict[bytes, _RowState] = {}  # by the key of the row as it is in the store
        self.probed: dict[bytes, Cell | None] = {}
        self.orphans: list[_Orphans] = []
        self.claimed: dict[bytes, _RowState] = {}  # unique keys that rows have after the statement
        self.writes: dict[bytes, bytes | None] = {}

    def admit(self, change: Change) -> _RowState | None:
        """Take a row into the statement; None when nothing about it changes."""
        table, old, new = change
        paths = paths_of(self.keys, self.catalog, table)
        if new is not None:
            check_not_null(paths, new)
            if old is not None and new == old and _same_bytes(table, old, new):
                return None
        old_key = None
        if old is not None:
            old_key = paths.row.key(old)[0]
            if old_key in self.stored:
                raise InternalError(f"a statement changes one row of {table.name} twice: {old_key!r}")
        state = _RowState(paths, old, new, old_key)
        self.states.append(state)
        if old_key is not None:
            self.stored[old_key] = state
        return state

    def reads(self, fresh: list[_RowState]) -> _Level:
        """What must be known about rows that are new to the statement or have changed once more."""
        gets: dict[bytes, bool] = {}
        level = _Level({}, [], [], [])
        for state in fresh:
            if state.new is not None:
                for each in state.row_keys():
                    if each.alone and each.moved:
                        gets[each.key] = False
                for parent in state.paths.parents:
                    values = _referenced(parent, state)
                    if values is not None:
                        gets.setdefault(parent.prefix + keycode.encode(values), True)
            if state.old is not None:
                for child in state.paths.children:
                    if state.new is None or not state.changed().isdisjoint(child.target_places):
                        self._scan_children(level, state, child)
        for key, hope in gets.items():
            if key in self.probed:
                continue
            if key in self.vacant:
                level.vacant.append(key)
            else:
                level.gets[key] = hope
        return level

    def _scan_children(self, level: _Level, state: _RowState, path: ChildPath) -> None:
        assert state.old is not None
        values = tuple(state.old[place] for place in path.target_places)
        if None in values:
            return
        prefix = path.scan_prefix(values)
        refuses = _action(state, path) in (Action.NO_ACTION, Action.RESTRICT)
        limit = PROBED_CHILDREN if refuses else None
        dereference = not refuses and not path.rows
        level.scans.append(Scan(prefix, keycode.after(prefix), limit, dereference=dereference))
        level.followed.append((state, path, values))

    def follow(self, level: _Level, answer: WaveResult) -> list[_RowState]:
        """Take in the answer; the rows that referential actions change now."""
        self.probed.update(zip((*level.gets, *level.vacant), answer.cells, strict=True))
        fresh: dict[int, _RowState] = {}
        for at, (state, path, values) in enumerate(level.followed):
            cells = answer.scans[at]
            action = _action(state, path)
            if action in (Action.NO_ACTION, Action.RESTRICT):
                keys = [cell.key if path.rows else cell.value for cell in cells]
                self.orphans.append(_Orphans(action, path, values, level.scans[at], keys))
                continue
            for cell in cells if path.rows else answer.rows[at] or ():
                if cell is None:
                    raise InternalError(f"an entry of an index of table {path.child.name} has no row")
                child = self._act(state, path, values, cell)
                if child is not None:
                    fresh[id(child)] = child
        return list(fresh.values())

    def _act(self, parent: _RowState, path: ChildPath, values: tuple[object, ...], cell: Cell) -> _RowState | None:
        """Carry out the referential action on one stored child; None when the statement has seen to it already."""
        child = self.stored.get(cell.key)
        paths = paths_of(self.keys, self.catalog, path.child)
        if child is None:
            row = reader(self.keys, path.child)(cell)
            child = _RowState(paths, row, row, cell.key)
        if child.new is None or tuple(child.new[place] for place in path.places) != values:
            return None
        action = _action(parent, path)
        if action == Action.CASCADE and parent.new is None:
            child.new = None
        else:
            new = list(child.new)
            for place, target_place in zip(path.places, path.target_places, strict=True):
                column = path.child.columns[place]
                if action == Action.CASCADE and parent.new is not None:
                    # The child's type may be narrower: VARCHAR(36) may reference VARCHAR(64).
                    name = f"{path.child.name}.{column.name}"
                    new[place] = convert(parent.new[target_place], column.type, name)
                elif action == Action.SET_NULL:
                    new[place] = None
                else:
                    new[place] = self.default_of(path.child, column)
            child.new = tuple(new)
            check_not_null(paths, child.new)
        if cell.key not in self.stored:
            self.stored[cell.key] = child
            self.states.append(child)
        return child

    def settle(self) -> None:
        """Judge uniqueness and parents on the state after the statement, and fill `writes`."""
        for state in self.states:
            self._take_away(state)
        for state in self.states:
            self._bring(state)
        for state in self.states:
            for each in state.row_keys():
                if each.alone and each.moved:
                    self._check_claim(state, each)
        for state in self.states:
            if state.new is not None:
                self._check_parents(state)

    def _take_away(self, state: _RowState) -> None:
        """Forget the keys of a row as it was, save those that cannot have changed."""
        if state.old is None or state.old_key is None:
            return
        self.writes[state.old_key] = None
        identity = state.old_key[len(state.paths.row.prefix) :]
        for path in state.left():
            self.writes[path.key(state.old, identity)[0]] = None

    def _bring(self, state: _RowState) -> None:
        """Write a row as it is now, and claim its unique keys: no two rows of the statement may have one."""
        table, new = state.paths.table, state.new
        if new is None:
            return
        value = rowcode.encoder(table)(new if table.primary_key else new[: len(table.columns)])
        if len(value) > rowcode.MAX_ROW_BYTES:
            raise DataError(
                f'a row of table "{table.name}" takes {len(value)} bytes; the limit is {rowcode.MAX_ROW_BYTES}',
                sqlstate="54000",
            )
        row_key = state.row_keys()[0].key
        for each in state.row_keys():
            if each.alone:
                if each.key in self.claimed:
                    raise duplicate(table, each.path, new)
                self.claimed[each.key] = state
            if each.moved:
                self.writes[each.key] = row_key
        self.writes[row_key] = value

    def _check_claim(self, state: _RowState, claim: _RowKey) -> None:
        """A key that a row has now may stand in the store only for a row of the statement: that one has given it up.

        Had it not, it would have claimed the key too.
        """
        cell = self.probed[claim.key]
        if cell is None:
            return
        owner = claim.key if claim.path is state.paths.row else cell.value
        if owner not in self.stored:
            assert state.new is not None
            raise duplicate(state.paths.table, claim.path, state.new)

    def _check_parents(self, state: _RowState) -> None:
        for parent in state.paths.parents:
            values = _referenced(parent, state)
            if values is None:
                continue
            key = parent.prefix + keycode.encode(values)
            if key not in self.claimed and (self.probed[key] is None or self._gone(key)):
                raise missing_parent(state.paths.table, parent, values)

    def _gone(self, key: bytes) -> bool:
        return key in self.writes and self.writes[key] is None

    def check_orphans(self) -> Step[None]:
        """Raise while a row that went away under NO ACTION or RESTRICT is referenced; reads on only when it must."""
        for orphans in self.orphans:
            path = orphans.path
            if orphans.action == Action.NO_ACTION and path.parent_key(orphans.values) in self.claimed:
                continue  # another row of the statement has the key now
            found = orphans.keys
            if orphans.scan.limit == len(found) and not any(self._still_refers(path, orphans.values, k) for k in found):
                answer = yield Wave((), (Scan(orphans.scan.start, orphans.scan.stop),))
                found = [cell.key if path.rows else cell.value for cell in answer.scans[0]]
            if any(self._still_refers(path, orphans.values, key) for key in found):
                raise still_referenced(path, orphans.values)

    def _still_refers(self, path: ChildPath, values: tuple[object, ...], row_key: bytes) -> bool:
        child = self.stored.get(row_key)
        if child is None:
            return True
        return child.new is not None and tuple(child.new[place] for place in path.places) == values


def _action(parent: _RowState, path: ChildPath) -> str:
    return path.key.on_delete if parent.new is None else path.key.on_update


def _same_bytes(table: Table, old: Row, new: Row) -> bool:
    """Whether equal rows are stored alike: 0.0 equals -0.0, and 1.0 equals 1.00, but they are not the same."""
    encode, size = rowcode.encoder(table), len(table.columns)
    return encode(old[:size]) == encode(new[:size])


def _referenced(parent: ParentPath, state: _RowState) -> tuple[object, ...] | None:
    """The target's key that a row must find; None when it references nothing or nothing new (MATCH SIMPLE)."""
    assert state.new is not None
    if state.old is not None and state.changed().isdisjoint(parent.places):
        return None
    values = tuple([state.new[place] for place in parent.places])
    return None if None in values else values


def check_not_null(paths: TablePaths, row: Row) -> None:
    """Raise NotNullViolation for the first column that must not be NULL and is."""
    if None not in row:
        return
    for place in paths.not_null:
        if row[place] is None:
            table, column = paths.table, paths.table.columns[place]
            raise NotNullViolation(
                f"NOT NULL constraint failed: {table.name}.{column.name}",
                table=table.name,
                columns=(column.name,),
                values=(None,),
            )


def duplicate(table: Table, path: KeyPath, row: Row) -> UniqueViolation:
    values = tuple(row[place] for place in path.places)
    columns = ", ".join(f"{table.name}.{column}" for column in path.columns)
    return UniqueViolation(
        f"UNIQUE constraint failed: {columns} (key {path.constraint or '-'}, value {shown(values)})",
        table=table.name,
        columns=path.columns,
        constraint=path.constraint,
        values=values,
    )


def check_violation(table: Table, check: Check) -> CheckViolation:
    """What the floor that evaluates CHECKs raises."""
    return CheckViolation(
        f"CHECK constraint failed: {table.name} (check {check.name or '-'}, condition {check.sql})",
        table=table.name,
        constraint=check.name,
    )


def missing_parent(table: Table, path: ParentPath, target_values: Sequence[object]) -> ForeignKeyViolation:
    value_of = dict(zip(path.places, target_values, strict=True))
    values = tuple(value_of[table.position[column]] for column in path.key.columns)
    return _broken_reference(table, path.key, values, "no such row")


def still_referenced(path: ChildPath, values: tuple[object, ...]) -> ForeignKeyViolation:
    return _broken_reference(path.child, path.key, values, "the row is still referenced")


def _broken_reference(child: Table, key: ForeignKey, values: tuple[object, ...], why: str) -> ForeignKeyViolation:
    columns = child.names(key.columns)
    return ForeignKeyViolation(
        f'FOREIGN KEY constraint failed: table "{child.name}" key "{key.name or "-"}" references "{key.target}" '
        f"(columns {', '.join(columns)}, value {shown(values)}): {why}",
        table=child.name,
        columns=columns,
        constraint=key.name,
        values=values,
    )


def shown(values: Sequence[object]) -> str:
    """Values for an error message: strings quoted as SQL does, each cut to 64 characters."""
    return ", ".join(_shown(value) for value in values)


def _shown(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, bytes):
        return f"X'{value[:32].hex()}'" + ("…" if len(value) > 32 else "")
    if isinstance(value, int | float | Decimal):
        return str(value)
    text = str(value)
    return "'" + text[:64].replace("'", "''") + "'" + ("…" if len(text) > 64 else "")

"""From the values of an access path to the keys and ranges to read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import chain, islice, product
from typing import Any

from rome.driver.api import Cell, Scan
from rome.sql import plan
from rome.sql.bound import Array, ColumnRef, Expr, IsNull, columns_of
from rome.sql.execute.operator import Row
from rome.sql.expr import Bindings, scalar
from rome.table import keycode
from rome.table.keys import NO_BOUND, Keys, fits, range_of, shortened
from rome.table.paths import batch_reader
from rome.table.rowcode import layout_bytes
from rome.txn.wave import WaveResult
from rome.values import Kind

_Values = Callable[[Row, Bindings], list[object]]

Reads = tuple[list[bytes], list[Scan], list[list[int]]]
"""Gets and scans for several outer rows, and which of them are of the first row, the second, …"""
_ONE_CODE = (Kind.STRING, Kind.INTEGER, Kind.BYTES, Kind.UUID)  # equal values of these have equal bytes in every key


class KeyRanges:
    """The reads that one access path of a table makes, and the rows in their answers.

    Values come from the bindings and, in the inner side of a lookup join, from an outer row laid out as `layout` says.
    """

    def __init__(self, scan: plan.Scan, keys: Keys, layout: dict[int, int]) -> None:
        access, table = scan.access, scan.table
        columns = table.primary_key if access.index is None else access.index.columns
        kinds = [table.columns[table.position[column]].type.kind for column in columns]
        self._equals = [
            _alternatives(values, kind, layout, access.index.length(at) if access.index else 0)
            for at, (values, kind) in enumerate(zip(access.equals, kinds, strict=False))
        ]
        for at, further in enumerate(access.within):
            others = [_alternatives(values, kinds[at], layout, 0) for values in further]
            self._equals[at] = _common(self._equals[at], others) if others else self._equals[at]
        complete = len(access.equals) == len(columns) > 0
        next_kind = kinds[len(access.equals)] if not complete and kinds else Kind.NULL
        self._low = _Bound(access.low, next_kind, layout, min) if access.low else None
        self._high = _Bound(access.high, next_kind, layout, max) if access.high else None
        self._reverse = access.reverse
        self._by_key = complete and access.index is None
        self._dereference = access.index is not None
        self._prefix = keys.row_prefix(table) if access.index is None else keys.index_prefix(table, access.index)
        self.rows_of = batch_reader(keys, table)
        """The rows in cells; where there is no cell there is no row."""
        self._layout = layout_bytes(table)
        self.points = self._by_key
        self._kinds = kinds
        self._varying = self._varying_place(access, layout)
        self.given_by = self._giving_column(access)
        """The outer column whose bytes in a key are all that the reads of an outer row hang on; None if it is more."""

    def _varying_place(self, access: plan.Access, layout: dict[int, int]) -> tuple[int, int] | None:
        """Which column of the key must equal what, in the outer row, if nothing else hangs on that row."""
        if access.low or access.high or access.within:
            return None
        outer = [at for at, values in enumerate(access.equals) if any(map(columns_of, values))]
        if len(outer) != 1:
            return None
        [at] = outer
        value, *more = access.equals[at]
        cut = access.index is not None and access.index.length(at)
        return None if more or cut or not isinstance(value, ColumnRef) else (at, layout[value.column])

    def _giving_column(self, access: plan.Access) -> int | None:
        if self._varying is None:
            return None
        at, _ = self._varying
        [value] = access.equals[at]
        assert isinstance(value, ColumnRef)
        alike = value.type.kind is self._kinds[at] and value.type.kind in _ONE_CODE and not value.type.flexible
        return value.column if alike else None

    def reads_of(self, rows: Sequence[Row], bindings: Bindings) -> Reads:
        """The reads for all of `rows`, each once.

        Either there are no gets or no scans. What all rows have in common is computed once.
        """
        if self._varying is None:
            places: list[list[int]] = []
            get_at: dict[bytes, int] = {}
            scan_at: dict[Scan, int] = {}
            for row in rows:
                gets, scans = self.reads(row, bindings)
                own = [get_at.setdefault(get, len(get_at)) for get in gets]
                places.append(own + [scan_at.setdefault(scan, len(scan_at)) for scan in scans])
            return list(get_at), list(scan_at), places
        return self.reads_at(self.codes_of(rows), bindings)

    def codes_of(self, rows: Sequence[Row]) -> list[bytes | None]:
        """The bytes in a key of the one value of each outer row that its reads hang on; None where it finds nothing."""
        assert self._varying is not None
        column, place = self._varying
        kind = self._kinds[column]
        values = [_exact(row[place], kind) for row in rows]
        return [None if value is None else keycode.encode((value,)) for value in values]

    def reads_at(self, codes: Sequence[bytes | None], bindings: Bindings) -> Reads:
        """`reads_of` rows with these `codes`."""
        assert self._varying is not None
        column, _ = self._varying
        before, after = self._equals[:column], self._equals[column + 1 :]
        heads = [self._prefix + keycode.encode(each) for each in product(*[values((), bindings) for values in before])]
        tails = [keycode.encode(each) for each in product(*[values((), bindings) for values in after])]
        start_at: dict[bytes, int] = {}
        places = [
            [] if code is None
            else [start_at.setdefault(head + code + tail, len(start_at)) for head in heads for tail in tails]
            for code in codes
        ]  # fmt: skip
        if self._by_key:
            return list(start_at), [], places
        reverse, dereference = self._reverse, self._dereference
        return [], [Scan(start, keycode.after(start), None, reverse, dereference) for start in start_at], places

    def reads(self, row: Row, bindings: Bindings, limit: int | None = None) -> tuple[list[bytes], list[Scan]]:
        """The gets and the scans for one outer row (`()` when there is none)."""
        prefixes = self._prefixes(row, bindings)
        if self._by_key:
            return list(dict.fromkeys([self._prefix + keycode.encode(values) for values in prefixes])), []
        low: object = NO_BOUND
        high: object = NO_BOUND
        low_inclusive = high_inclusive = True
        if self._low is not None or self._high is not None:
            low, low_inclusive = None, False  # a comparison is never true of NULL, the smallest key
            if self._low is not None:
                value = self._low.value(row, bindings)
                if value is None:
                    return [], []
                if value is not NO_BOUND:
                    low, low_inclusive = value, self._low.inclusive
            if self._high is not None:
                high, high_inclusive = self._high.value(row, bindings), self._high.inclusive
                if high is None:
                    return [], []
        scans: dict[Scan, None] = {}
        for values in prefixes:
            start, stop = range_of(self._prefix, values, low, low_inclusive, high, high_inclusive)
            if start < stop:
                scans[Scan(start, stop, limit, self._reverse, self._dereference)] = None
        return [], list(scans)

    def _prefixes(self, row: Row, bindings: Bindings) -> Iterable[tuple[object, ...]]:
        if len(self._equals) == 1:
            return [(value,) for value in self._equals[0](row, bindings)]
        return product(*[values(row, bindings) for values in self._equals])

    def rows_at(self, answer: WaveResult) -> list[list[Row]]:
        """The rows in the answer to `reads_of`, at each get or scan."""
        found: list[Sequence[Cell | None]]
        if self._by_key:
            found = [(cell,) for cell in answer.cells]
        else:
            found = [
                cells if rows is None else rows for cells, rows in zip(answer.scans, answer.rows, strict=True)
            ]
        cells = list(chain.from_iterable(found))
        rows = self.rows_of(cells)
        if len(rows) < len(cells):
            found = [[cell for cell in own if cell is not None] for own in found]
        every = iter(rows)
        return [list(islice(every, len(own))) for own in found]

    def rows(self, answer: WaveResult, holding: tuple[bytes, ...] = ()) -> list[Row]:
        """The rows in the answer to `reads`; with `holding` some may be missing that have none of these texts in them.

        That spares most of the work on rows that a filter is about to leave out.
        """
        found: Iterable[Cell | None]
        if self._by_key:
            found = answer.cells
        elif self._dereference:
            found = chain.from_iterable([rows or () for rows in answer.rows])
        else:
            found = chain.from_iterable(answer.scans)
        if len(holding) == 1:
            # A row of an older layout may lack a column, which then has a value that it does not hold.
            [text], layout = holding, self._layout
            found = [cell for cell in found if cell is not None and (text in cell.value or cell.value[:2] != layout)]
        return self.rows_of(found)


class _Bound:
    def __init__(
        self, bound: plan.Bound, kind: Kind, layout: dict[int, int], widest: Callable[[list[Any]], object]
    ) -> None:
        self._scalars = [scalar(value, layout) for value in (bound.value, *bound.others)]
        self._widest = widest
        self._kind = kind
        self.inclusive = bound.inclusive

    def value(self, row: Row, bindings: Bindings) -> object:
        """The bound as a key; None for NULL; NO_BOUND when the type cannot say it exactly (the residual judges)."""
        values = [value for each in self._scalars if (value := each(row, bindings)) is not None]
        if not values:
            return None
        exact = [_exact(value, self._kind) for value in values]
        return NO_BOUND if None in exact else self._widest(exact)


def _alternatives(values: tuple[Expr, ...], kind: Kind, layout: dict[int, int], length: int) -> _Values:
    """A function that gives the key values an equality allows; never NULL but for IS NULL.

    With `length` they are what an index holds of them that holds so many characters.
    """
    if isinstance(values[0], IsNull):
        return lambda row, bindings: [None]
    scalars = [scalar(value, layout) for value in values]
    if len(scalars) == 1:
        one = scalars[0]

        def single(row: Row, bindings: Bindings) -> list[object]:
            value = one(row, bindings)
            if isinstance(value, Array):
                return [exact for item in value.values if (exact := _exact(item, kind)) is not None]
            exact = _exact(shortened(value, length), kind)
            return [] if exact is None else [exact]

        return single

    def several(row: Row, bindings: Bindings) -> list[object]:
        found = [_exact(shortened(each(row, bindings), length), kind) for each in scalars]
        return list(dict.fromkeys(value for value in found if value is not None))

    return several


def _common(first: _Values, others: list[_Values]) -> _Values:
    """The values of `first` that all of the `others` allow."""

    def common(row: Row, bindings: Bindings) -> list[object]:
        values = first(row, bindings)
        for other in others:
            allowed = set(other(row, bindings))
            values = [value for value in values if value in allowed]
        return values

    return common


def _exact(value: object, kind: Kind) -> object:
    """`value` as a key of `kind` would hold it; None when it is NULL or no such key can be equal to it."""
    if kind is Kind.STRING:
        return value if fits(value) else None
    if kind is Kind.INTEGER or kind is Kind.BOOLEAN:
        if isinstance(value, (float, Decimal)):
            return int(value) if value == int(value) else None
        return value
    if kind is Kind.FLOAT and isinstance(value, int):
        return float(value) if float(value) == value else None
    if kind is Kind.FLOAT and isinstance(value, Decimal):
        return float(value)  # beside a FLOAT a DECIMAL counts as one
    if kind is Kind.DECIMAL and not isinstance(value, Decimal):
        return None if value is None else Decimal(value)  # type: ignore[arg-type]
    return value if fits(value) else None

"""What a scan brings along: which of the rows that it reads are followed into what belongs to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rome.driver.api import Follow
from rome.sql import plan
from rome.sql.bound import Array, ColumnRef, Compare, Expr, InArray, InList, Or, columns_of, conjuncts
from rome.sql.execute.operator import Belonging, Sieves
from rome.sql.expr import Bindings, scalar
from rome.table.keys import Keys
from rome.table.rowcode import encode_value
from rome.values import Kind

FEW_ROWS = 64  # what may be followed in vain
MOST_TEXTS = 4
MIN_TEXT_BYTES = 5  # a shorter one is in many rows by chance

_TEXTS = (Kind.STRING, Kind.BYTES, Kind.UUID)


class Following:
    """What one scan has been asked to bring along.

    Rows that the residual condition leaves out are not wanted. Where it says that a column equals a text, only rows
    that have that text in them are followed.
    """

    def __init__(self, node: plan.Scan, keys: Keys) -> None:
        table = node.table
        self._key = tuple(node.output[place].column for place in table.primary_positions)
        self._cut = len(keys.row_prefix(table))
        self._always: list[Belonging] = []
        self._from_afar: list[tuple[Belonging, Sieves]] = []
        self._texts = list(_texts(node))

    def ask(self, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves | None) -> bool:
        """As `Operator.bring` says."""
        if not columns or columns != self._key:
            return False
        if sieves is None:
            self._always.append(belonging)
        else:
            self._from_afar.append((belonging, sieves))
        return True

    @property
    def asked(self) -> bool:
        """Whether there is anything to follow."""
        return bool(self._always or self._from_afar)

    @property
    def from_afar(self) -> bool:
        """Whether there is anything to follow only from afar."""
        return bool(self._from_afar)

    @property
    def is_sifted(self) -> bool:
        """Whether something of what is read along is for rows that a lookup may leave out."""
        return any(sieves for _, sieves in self._from_afar)

    def all_of(self, rows: int, bindings: Bindings, far: bool) -> tuple[Follow, ...]:
        """To follow the first `rows` rows; `far`: into what is wanted for some of them, too."""
        brought = self._always + self._sifted() if far else self._always
        return self._follows(brought, rows, self.holding(bindings) if brought else ())

    def few_of(self, rows: int, bindings: Bindings) -> tuple[Follow, ...]:
        """To follow a few rows into everything, from afar."""
        return self._follows([*self._always, *self._sifted()], rows, self.holding(bindings))

    def _sifted(self) -> list[Belonging]:
        opened = [belonging for belonging, sieves in self._from_afar if all(sieve.is_open for sieve in sieves)]
        return list(dict.fromkeys(opened))

    def _follows(self, brought: Sequence[Belonging], rows: int, holding: tuple[bytes, ...]) -> tuple[Follow, ...]:
        return tuple(Follow(self._cut, each.prefix, each.dereference, rows, holding) for each in brought)

    def holding(self, bindings: Bindings) -> tuple[bytes, ...]:
        """The texts one of which is in each row that passes, as they stand there; () when that is not known."""
        best: tuple[bytes, ...] = ()
        for texts in self._texts:
            found = texts(bindings)
            telling = 0 < len(found) <= MOST_TEXTS and min(map(len, found)) >= MIN_TEXT_BYTES
            if telling and (not best or len(found) < len(best)):
                best = found
        return best


def _texts(node: plan.Scan) -> Iterator[Callable[[Bindings], tuple[bytes, ...]]]:
    """For each column that a residual condition holds equal to texts, what gives them."""
    kinds = {column.column: own.type.kind for column, own in zip(node.output, node.table.columns, strict=False)}
    for condition in conjuncts(node.residual):
        column, values = _equality(condition)
        if column is not None and kinds.get(column) in _TEXTS and not any(map(columns_of, values)):
            yield _encoded([scalar(value, {}) for value in values])


def _equality(condition: Expr) -> tuple[int | None, Sequence[Expr]]:
    """The column that `condition` holds equal to one of some values, and these."""
    match condition:
        case Compare(op="=", left=ColumnRef(column=column), right=value):
            return column, (value,)
        case Compare(op="=", left=value, right=ColumnRef(column=column)):
            return column, (value,)
        case InList(operand=ColumnRef(column=column), items=items):
            return column, items
        case InArray(operand=ColumnRef(column=column), slot=slot):
            return column, (slot,)
        case Or(items=items):
            parts = [_equality(item) for item in items]
            columns = {column for column, _ in parts}
            if len(columns) == 1:
                return columns.pop(), [value for _, values in parts for value in values]
    return None, ()


def _encoded(scalars: Sequence[Callable[..., object]]) -> Callable[[Bindings], tuple[bytes, ...]]:
    def texts(bindings: Bindings) -> tuple[bytes, ...]:
        values: list[object] = []
        for each in scalars:
            value = each((), bindings)
            values += value.values if isinstance(value, Array) else (value,)
        return tuple(encode_value(value) for value in values if value is not None)

    return texts

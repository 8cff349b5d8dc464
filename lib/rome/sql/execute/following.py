"""What a scan brings along: which of the rows that it reads are followed into what belongs to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rome.driver.api import Follow
from rome.sql import plan
from rome.sql.bound import Array, ColumnRef, Compare, Expr, InArray, InList, Or, columns_of, conjuncts
from rome.sql.execute.operator import Belonging, Sieves, Texts
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
        self.key = tuple(node.output[place].column for place in table.primary_positions)
        """The columns of the rows' primary key."""
        self.cut = len(keys.row_prefix(table))
        """How many bytes come before those in the key of a row."""
        self._always: list[Belonging] = []
        self._from_afar: list[tuple[Belonging, Sieves]] = []
        self._texts = list(texts_of(node, node.residual))

    def ask(self, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves | None) -> bool:
        """As `Operator.bring` says."""
        if not columns or columns != self.key:
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
        return self._follows(rows, bindings, self._sifted(bindings) if far else [])

    def _sifted(self, bindings: Bindings) -> list[tuple[Belonging, Texts]]:
        """What is wanted from afar, each with the texts that sift rows for what comes after it.

        A sieve that can tell from what belongs to a row which rows pass is asked once it has been read.
        """
        opened = [(each, sieves) for each, sieves in self._from_afar if all(sieve.is_open for sieve in sieves)]
        asked = dict.fromkeys(each for each, _ in opened if each not in self._always)
        known = (*asked, *self._always)
        telling = next((sieve for _, sieves in opened for sieve in sieves if sieve.through in known), None)
        texts = telling.texts(bindings) if telling is not None else ()
        if telling is None or telling.through is None or not texts:
            return [(each, ()) for each in asked]
        through = telling.through
        at_any_rate = {each for each, sieves in opened if telling not in sieves}
        before = [(each, ()) for each in asked if each in at_any_rate and each != through]
        after = [(each, ()) for each in asked if each not in at_any_rate and each != through]
        return [*before, (through, texts), *after]

    def _follows(self, rows: int, bindings: Bindings, sifted: Sequence[tuple[Belonging, Texts]]) -> tuple[Follow, ...]:
        brought: dict[Belonging, Texts] = dict(sifted)
        always = [(each, ()) for each in self._always if each not in brought]
        holding = self.holding(bindings) if always or brought else ()
        return tuple(
            [
                Follow(self.cut, each.prefix, each.dereference, rows, holding, texts)
                for each, texts in (*always, *brought.items())
            ]
        )

    def holding(self, bindings: Bindings) -> Texts:
        """The texts one of which is in each row that passes, as they stand there; () when that is not known."""
        return best_texts(self._texts, bindings)


def best_texts(known: Sequence[Callable[[Bindings], Texts]], bindings: Bindings) -> Texts:
    """The fewest of what is `known` that tell anything; () without any."""
    best: Texts = ()
    for texts in known:
        found = texts(bindings)
        telling = 0 < len(found) <= MOST_TEXTS and min(map(len, found)) >= MIN_TEXT_BYTES
        if telling and (not best or len(found) < len(best)):
            best = found
    return best


def texts_of(node: plan.Scan, condition: Expr | None) -> Iterator[Callable[[Bindings], Texts]]:
    """For each column of `node` that a part of `condition` holds equal to texts, what gives them."""
    kinds = {column.column: own.type.kind for column, own in zip(node.output, node.table.columns, strict=False)}
    for part in conjuncts(condition):
        column, values = _equality(part)
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


def _encoded(scalars: Sequence[Callable[..., object]]) -> Callable[[Bindings], Texts]:
    def texts(bindings: Bindings) -> Texts:
        values: list[object] = []
        for each in scalars:
            value = each((), bindings)
            values += value.values if isinstance(value, Array) else (value,)
        return tuple(encode_value(value) for value in values if value is not None)

    return texts

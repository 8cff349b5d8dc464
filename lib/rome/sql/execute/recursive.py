"""Recursive queries, and rows that several places of a statement share."""

from __future__ import annotations

from rome.errors import ProgrammingError
from rome.sql import plan
from rome.sql.execute.operator import Context, Operator, Row
from rome.txn.wave import Step
from rome.values import Kind

# What one recursive query may give: it holds its rows in memory.
MOST_ROWS = 1_000_000
MOST_ROUNDS = 10_000
MOST_TEXT = 1 << 28  # characters and bytes in all its rows

_TEXTS = frozenset({Kind.STRING, Kind.BYTES, Kind.JSON, Kind.NULL})  # NULL: the value tells


class RecursiveRows(Operator):
    """The rows of `base`, and those that `step` makes of the rows that came last, until it makes none.

    A round is one run of `step` over all these rows, so its reads share their waves. UNION without ALL leaves out rows
    that have come before. Whoever needs some rows only gets no more rounds than those take.
    """

    def __init__(self, node: plan.Recursive, base: Operator, step: Operator) -> None:
        self.output = node.output
        self.children = (base, step)
        self._base = base
        self._step = step
        self._node = node
        self._texts = [place for place, column in enumerate(node.output) if column.type.kind in _TEXTS]

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        node = self._node
        seen: set[Row] = set()
        latest = yield from self._base.rows(context)
        if not node.all:
            latest = _new(latest, seen)
        found = list(latest)
        rounds, text = 0, self._text(latest)
        while latest and (need is None or len(found) < need):
            for count, most, what in (
                (len(found), MOST_ROWS, "rows"),
                (rounds, MOST_ROUNDS, "rounds"),
                (text, MOST_TEXT, "characters"),
            ):
                if count > most:
                    raise self._endless(f"{most:,} {what}")
            rounds += 1
            round_ = context._replace(working={**context.working, node.number: latest})
            latest = yield from self._step.rows(round_)
            if not node.all:
                latest = _new(latest, seen)
            text += self._text(latest)
            found += latest
        return found

    def _text(self, rows: list[Row]) -> int:
        """The length of all strings and bytes in `rows`."""
        values = [row[place] for place in self._texts for row in rows]
        return sum(len(value) for value in values if isinstance(value, (str, bytes)))

    def _endless(self, limit: str) -> ProgrammingError:
        message = (
            f'the recursive query "{self._node.name}" has not ended after {limit}: give its recursive part a condition '
            f"that comes to an end, or the query around it a LIMIT"
        )
        return ProgrammingError(message, sqlstate="54000")


def _new(rows: list[Row], seen: set[Row]) -> list[Row]:
    """The rows that are not among `seen`, each once; they are from now on."""
    new = [row for row in dict.fromkeys(rows) if row not in seen]
    seen.update(new)
    return new


class WorkingRows(Operator):
    """The rows of the round before."""

    def __init__(self, node: plan.WorkingTable) -> None:
        self.output = node.output
        self._number = node.number

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        yield from ()  # makes this a step
        return context.working[self._number]


class SharedRows(Operator):
    """Rows of a query that has run before."""

    def __init__(self, node: plan.Shared) -> None:
        self.output = node.output
        self._slot = node.slot.index

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        yield from ()  # makes this a step
        rows: list[Row] = context.bindings.slots[self._slot]
        return rows

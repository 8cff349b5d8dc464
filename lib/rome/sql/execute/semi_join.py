"""Semi-joins: a lookup made before the rows are read that it is for, so that those it leaves out need not be."""

from __future__ import annotations

from collections.abc import Sequence

from rome.sql.execute.joins import Lookup
from rome.sql.execute.operator import Row
from rome.sql.expr import Bindings
from rome.txn.wave import Step


class SemiJoin:
    """One run's lookup by the keys of rows that index entries name (Bernstein and Chiu, "Using Semi-Joins to Solve
    Relational Queries", JACM 28(1), 1981, call that a reducer).

    What it has found is not looked up again when the rows are there.
    """

    __slots__ = ("_bindings", "_found", "lookup")

    def __init__(self, lookup: Lookup, bindings: Bindings) -> None:
        self.lookup = lookup
        self._bindings = bindings
        self._found: dict[bytes, list[Row]] = {}

    @property
    def column(self) -> int:
        assert self.lookup.reduces is not None
        return self.lookup.reduces

    def kept(self, codes: Sequence[bytes]) -> Step[list[bool]]:
        """For which of the outer rows something is found; `codes` are the bytes of their column in a key."""
        new = [code for code in dict.fromkeys(codes) if code not in self._found]
        if new:
            self._found.update(zip(new, (yield from self.lookup.find_at(self._bindings, new)), strict=True))
        return [bool(self._found[code]) for code in codes]

    def matches(self, base: list[Row]) -> Step[dict[object, list[Row]]]:
        """As `Lookup.find`, for rows that may have come another way, too."""
        if not self._found:  # it was not worth its wave
            return (yield from self.lookup.find(self._bindings, base))
        known: dict[object, list[Row]] = {}
        others: list[Row] = []
        for row, code in zip(base, self.lookup.codes_of(base), strict=True):
            found = None if code is None else self._found.get(code)
            if found is None:
                others.append(row)
            else:
                known[self.lookup.key(row)] = found
        if others:
            known |= yield from self.lookup.find(self._bindings, others)
        return known

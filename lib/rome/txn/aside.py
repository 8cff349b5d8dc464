"""What a transaction has read ahead: put aside until it is asked for, in the state that it was read in."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from rome.driver.api import Cell, Followed, Reading, Scan
from rome.txn.known import MAX_CELLS, UNKNOWN, Known


class Aside:
    """Cells and ranges of one state of the store. Nothing of it is expected: who takes it sees to that."""

    __slots__ = ("_at", "_known", "_whole")

    def __init__(self) -> None:
        self._at = 0  # the commit counter of the state
        self._known = Known()
        self._whole: dict[Scan, Followed] = {}  # scans that are there whole, by their very words

    def clear(self) -> None:
        self._known.clear()
        self._whole.clear()

    def put(self, gets: Sequence[bytes], scans: Sequence[Scan], reading: Reading, size: int) -> None:
        """Put aside what one reading of `size` bytes saw; what was there goes if it is of another state, or much."""
        cells = len(gets) + len(scans) + sum(map(len, reading.scans)) + sum(len(rows or ()) for rows in reading.rows)
        if reading.version != self._at or len(self._known) + cells > MAX_CELLS:
            self.clear()  # it was used, or it will hardly be
            self._at = reading.version
        self._known.learn(gets, scans, reading, size)
        if not self._known:
            self._whole.clear()  # it was too much
            return
        for scan, found, rows in zip(scans, reading.scans, reading.rows, strict=True):
            if scan.limit is None or len(found) < scan.limit:
                whole = structs.replace(scan, limit=None)
                self._whole[whole] = Followed(whole, found, rows)

    def all_of(self, scans: Sequence[Scan], version: int) -> Reading | None:
        """What `scans` find in the state of the commit counter `version`, if each was put aside in these very words."""
        if not self._whole or version != self._at:
            return None
        found = [each for each in map(self._whole.get, scans) if each is not None]
        if len(found) < len(scans):
            return None
        return Reading(version, None, [], [each.cells for each in found], [each.rows for each in found], [])

    def some_of(
        self, gets: Sequence[bytes], scans: Sequence[Scan], version: int
    ) -> tuple[list[bytes], list[Scan], Reading] | None:
        """Those of `gets` and `scans` that are known in the state of the commit counter `version`; what they find."""
        if version != self._at:
            return None
        known = self._known
        keys: list[bytes] = []
        cells: list[Cell | None] = []
        for key in gets:
            cell = known.cell(key)
            if cell is not UNKNOWN:
                keys.append(key)
                cells.append(cell)
        taken: list[Scan] = []
        found: list[list[Cell]] = []
        rows: list[list[Cell | None] | None] = []
        for scan in scans:
            entries = known.scan(scan)
            if entries is None:
                continue
            behind = [known.cell(entry.value) for entry in entries] if scan.dereference else None
            if behind is None or UNKNOWN not in behind:
                taken.append(scan)
                found.append(entries)
                rows.append(behind)  # type: ignore[arg-type]
        if not keys and not taken:
            return None
        return keys, taken, Reading(version, None, cells, found, rows, [])

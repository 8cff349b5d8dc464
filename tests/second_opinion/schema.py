"""Random schemas and rows, in SQL that SQLite and ROME both read.

Types are kept strict, so that SQLite's typeless values behave as typed ones: INTEGER columns hold integers, and so on.
Letters are ASCII, because SQLite's upper() knows no others; floats are quarters, so that sums are exact in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

INTEGER, TEXT, BOOLEAN, FLOAT = "BIGINT", "TEXT", "BOOLEAN", "FLOAT"
TYPES = (INTEGER, INTEGER, INTEGER, TEXT, TEXT, BOOLEAN, FLOAT)
WORDS = ("", "a", "A", "ab", "abc", "b", "B c", "a%b", "a_b", "100%", "x!y", "zz", " pad ", "中", "O'Neil", "12")


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    nullable: bool = True


@dataclass(frozen=True)
class Reference:
    """A foreign key: `column` refers to the only primary key column of `target`."""

    column: str
    target: str
    on_delete: str


@dataclass(frozen=True)
class Table:
    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    unique: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...]
    reference: Reference | None

    @property
    def view(self) -> str:
        """The view that has the rows of the table."""
        return f"{self.name}_seen"

    def definitions(self) -> list[str]:
        """CREATE TABLE, an index each, and the view."""
        parts = [f"{column.name} {column.type}{'' if column.nullable else ' NOT NULL'}" for column in self.columns]
        if self.primary_key:
            parts.append(f"PRIMARY KEY ({', '.join(self.primary_key)})")
        if self.unique:
            parts.append(f"CONSTRAINT {self.name}_one UNIQUE ({', '.join(self.unique)})")
        if self.reference:
            reference = self.reference
            action = f" ON DELETE {reference.on_delete}" if reference.on_delete else ""
            parts.append(f"FOREIGN KEY ({reference.column}) REFERENCES {reference.target} (id){action}")
        made = [f"CREATE TABLE {self.name} ({', '.join(parts)})"]
        for number, columns in enumerate(self.indexes):
            made.append(f"CREATE INDEX {self.name}_by_{number} ON {self.name} ({', '.join(columns)})")
        names = ", ".join(column.name for column in self.columns)
        made.append(f"CREATE VIEW {self.view} ({names}) AS SELECT {names} FROM {self.name} WHERE TRUE")
        return made

    def guarded(self) -> set[str]:
        """The columns in a key, a constraint or a reference: what may not take any value."""
        names = {*self.primary_key, *self.unique}
        return names | ({self.reference.column} if self.reference else set())


def literal(value: object) -> str:
    """A value as both write it."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value) if not isinstance(value, float) else f"{value!r}e0"


def some_value(random: Random, type_: str) -> object:
    """A value of `type_`, from few enough that values meet."""
    if type_ == INTEGER:
        return random.randint(-1, 7) if random.random() < 0.93 else random.choice([12, -1000, 65536])
    if type_ == TEXT:
        return random.choice(WORDS)
    if type_ == BOOLEAN:
        return random.random() < 0.5
    return random.randint(-4, 16) / 4


def some_table(random: Random, number: int, earlier: list[Table]) -> Table:
    columns = [
        Column(f"{'nsbf'[(INTEGER, TEXT, BOOLEAN, FLOAT).index(type_)]}{place}", type_, random.random() < 0.8)
        for place, type_ in enumerate(random.choices(TYPES, k=random.randint(2, 5)))
    ]
    style = random.random()
    primary_key: tuple[str, ...] = ("id",)
    if style < 0.12:
        primary_key = ()
    elif style < 0.3:
        columns = [Column("id", INTEGER, False), Column("part", random.choice([INTEGER, TEXT]), False), *columns]
        primary_key = random.choice([("id", "part"), ("part", "id")])
    else:
        columns = [Column("id", INTEGER, False), *columns]
    names = [column.name for column in columns]
    reference = None
    targets = [table.name for table in earlier if table.primary_key == ("id",)]
    if targets and random.random() < 0.4:
        columns.append(Column("ref", INTEGER))
        reference = Reference("ref", random.choice(targets), random.choice(["", "CASCADE", "SET NULL"]))
    free = [name for name in names if name not in primary_key]
    unique = tuple(random.sample(free, k=min(len(free), random.randint(1, 2)))) if random.random() < 0.2 else ()
    indexes = tuple(
        tuple(random.sample(names, k=min(len(names), random.randint(1, 3)))) for _ in range(random.randint(0, 3))
    )
    return Table(f"t{number}", tuple(columns), primary_key, unique, indexes, reference)


def some_schema(random: Random) -> list[Table]:
    """Two to four tables; a table may refer to one before it."""
    tables: list[Table] = []
    for number in range(random.randint(2, 4)):
        tables.append(some_table(random, number, tables))
    return tables


def some_rows(random: Random, table: Table) -> list[tuple[object, ...]]:
    """Up to 14 rows; some may break a constraint, and both databases must say so."""
    rows = []
    for number in range(random.choice([0, 4, 6, 9, 9, 12, 14])):
        row: list[object] = []
        for column in table.columns:
            if column.name == "id" and table.primary_key == ("id",) and random.random() < 0.97:
                row.append(number)
            elif column.nullable and random.random() < 0.25:
                row.append(None)
            else:
                row.append(some_value(random, column.type))
        rows.append(tuple(row))
    return rows

"""SQL types and the Python values that carry them through every floor.

| kind      | Python value          | written as                                             |
|-----------|-----------------------|--------------------------------------------------------|
| BOOLEAN   | bool                  | BOOLEAN                                                |
| INTEGER   | int                   | SMALLINT (16 bit), INTEGER (32), BIGINT (64)           |
| FLOAT     | float (finite)        | FLOAT, REAL, DOUBLE PRECISION                          |
| DECIMAL   | decimal.Decimal       | NUMERIC(p, s), exact                                   |
| STRING    | str                   | CHAR(n), VARCHAR(n), TEXT; length in characters        |
| BYTES     | bytes                 | BINARY(n), VARBINARY(n), BLOB; length in bytes         |
| DATETIME  | datetime, no tzinfo   | DATETIME, TIMESTAMP; microseconds kept                 |
| DATE      | date                  | DATE                                                   |
| TIME      | time, no tzinfo       | TIME                                                   |
| INTERVAL  | timedelta             | INTERVAL                                               |
| JSON      | str, a JSON text      | JSON                                                   |
| UUID      | uuid.UUID             | UUID                                                   |

NULL is None in every kind. Strings compare by code point, case-sensitively.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.StrEnum):
    """The family of a type: what Python class its values have."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    FLOAT = "float"
    DECIMAL = "decimal"
    STRING = "string"
    BYTES = "bytes"
    DATETIME = "datetime"
    DATE = "date"
    TIME = "time"
    INTERVAL = "interval"
    JSON = "json"
    UUID = "uuid"
    NULL = "null"  # the type of a bare NULL, or of a parameter before a context gives it one


NUMERIC_KINDS = frozenset({Kind.BOOLEAN, Kind.INTEGER, Kind.FLOAT, Kind.DECIMAL})


@dataclass(frozen=True, slots=True)
class SqlType:
    """A declared type.

    `name` is the declared name in upper case ("VARCHAR", "SMALLINT"), as reflection must give it back; `length` is in
    characters (STRING) or bytes (BYTES), None for no limit of its own; `precision` and `scale` are decimal digits.
    A `flexible` INTEGER also keeps strings that are no numbers, as they are.
    """

    kind: Kind
    name: str
    length: int | None = None
    precision: int | None = None
    scale: int | None = None
    flexible: bool = False

    def __str__(self) -> str:
        if self.length is not None:
            return f"{self.name}({self.length})"
        if self.precision is not None:
            return f"{self.name}({self.precision}, {self.scale or 0})"
        return self.name


NULL = SqlType(Kind.NULL, "NULL")
BOOLEAN = SqlType(Kind.BOOLEAN, "BOOLEAN")
INTEGER = SqlType(Kind.INTEGER, "INTEGER")
BIGINT = SqlType(Kind.INTEGER, "BIGINT")
FLOAT = SqlType(Kind.FLOAT, "FLOAT")
DECIMAL = SqlType(Kind.DECIMAL, "NUMERIC")
TEXT = SqlType(Kind.STRING, "TEXT")
BLOB = SqlType(Kind.BYTES, "BLOB")
DATETIME = SqlType(Kind.DATETIME, "DATETIME")
DATE = SqlType(Kind.DATE, "DATE")
TIME = SqlType(Kind.TIME, "TIME")
INTERVAL = SqlType(Kind.INTERVAL, "INTERVAL")
JSON = SqlType(Kind.JSON, "JSON")
UUID = SqlType(Kind.UUID, "UUID")

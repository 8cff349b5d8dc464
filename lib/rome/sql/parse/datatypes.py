"""The type names that ROME takes, and the values.SqlType each of them makes."""

from __future__ import annotations

import difflib

from rome.values import Kind, SqlType

NAMES: dict[str, Kind] = {
    "BOOLEAN": Kind.BOOLEAN,
    "BOOL": Kind.BOOLEAN,
    "TINYINT": Kind.INTEGER,
    "SMALLINT": Kind.INTEGER,
    "MEDIUMINT": Kind.INTEGER,
    "INT": Kind.INTEGER,
    "INTEGER": Kind.INTEGER,
    "BIGINT": Kind.INTEGER,
    "FLOAT": Kind.FLOAT,
    "REAL": Kind.FLOAT,
    "DOUBLE": Kind.FLOAT,
    "DOUBLE PRECISION": Kind.FLOAT,
    "NUMERIC": Kind.DECIMAL,
    "DECIMAL": Kind.DECIMAL,
    "CHAR": Kind.STRING,
    "CHARACTER": Kind.STRING,
    "CHARACTER VARYING": Kind.STRING,
    "NCHAR": Kind.STRING,
    "VARCHAR": Kind.STRING,
    "NVARCHAR": Kind.STRING,
    "TINYTEXT": Kind.STRING,
    "TEXT": Kind.STRING,
    "MEDIUMTEXT": Kind.STRING,
    "LONGTEXT": Kind.STRING,
    "CLOB": Kind.STRING,
    "BINARY": Kind.BYTES,
    "VARBINARY": Kind.BYTES,
    "TINYBLOB": Kind.BYTES,
    "BLOB": Kind.BYTES,
    "MEDIUMBLOB": Kind.BYTES,
    "LONGBLOB": Kind.BYTES,
    "DATE": Kind.DATE,
    "TIME": Kind.TIME,
    "DATETIME": Kind.DATETIME,
    "TIMESTAMP": Kind.DATETIME,
    "TIMESTAMP WITH TIME ZONE": Kind.DATETIME,
    "INTERVAL": Kind.INTERVAL,
    "JSON": Kind.JSON,
    "UUID": Kind.UUID,
}

# Types of two words: the first, and what may follow it.
SECOND_WORDS = {"DOUBLE": "PRECISION", "CHARACTER": "VARYING"}

WITH_LENGTH = {Kind.STRING, Kind.BYTES}
# How many numbers may stand in parentheses after a name of each kind; the kinds not named here take none.
MOST_NUMBERS = {Kind.STRING: 1, Kind.BYTES: 1, Kind.DECIMAL: 2, Kind.FLOAT: 1, Kind.DATETIME: 1, Kind.TIME: 1}


class BadType(ValueError):
    """A type written in a way that ROME does not take; the message says what to write."""


def sql_type(name: str, numbers: tuple[int, ...]) -> SqlType:
    """The type `name` (upper case) with `numbers` in parentheses; raises BadType."""
    kind = NAMES.get(name)
    if kind is None:
        close = difflib.get_close_matches(name, NAMES, n=1)
        hint = f": did you mean {close[0]}?" if close else ""
        raise BadType(f"there is no type {name}{hint}")
    if len(numbers) > MOST_NUMBERS.get(kind, 0):
        raise BadType(f"{name} takes no {'more numbers' if kind in MOST_NUMBERS else 'number'} in parentheses")
    if kind in WITH_LENGTH:
        if numbers and numbers[0] < 1:
            raise BadType(f"the length of {name} must be 1 or more")
        return SqlType(kind, name, length=numbers[0] if numbers else None)
    if kind is Kind.DECIMAL and numbers:
        precision, scale = numbers[0], numbers[1] if len(numbers) > 1 else 0
        if precision < 1 or scale > precision:
            raise BadType(f"{name}({precision}, {scale}) holds no number: the scale may not exceed the precision")
        return SqlType(kind, name, precision=precision, scale=scale)
    # The fractional digits of DATETIME and the binary digits of FLOAT: ROME keeps microseconds and doubles whatever
    # they are, so less than that is refused rather than kept with more digits than the text asks for.
    if kind in {Kind.DATETIME, Kind.TIME} and numbers and numbers[0] != 6:
        raise BadType(f"{name} keeps microseconds: write {name} or {name}(6)")
    if kind is Kind.FLOAT and numbers and not 1 <= numbers[0] <= 53:
        raise BadType(f"{name} takes 1 to 53 binary digits")
    return SqlType(kind, name)

"""The words of ROME's SQL: what the tokenizer tells from a name, and which of those words may be names all the same."""

from __future__ import annotations

from typing import ClassVar

import sqlglot
from sqlglot import TokenType

_RESERVED = """
    ALL ALTER AND ANY AS ASC BETWEEN CASE COLLATE COLUMN CONSTRAINT CREATE CROSS CURRENT_DATE CURRENT_TIME
    CURRENT_TIMESTAMP CURRENT_USER DEFAULT DELETE DESC DISTINCT DROP ELSE END EXCEPT EXISTS FALSE FETCH FOR FROM FULL
    HAVING ILIKE IN INNER INSERT INTERSECT INTO IS ISNULL JOIN LATERAL LEFT LIKE LIMIT LOCALTIME LOCALTIMESTAMP NATURAL
    NOT NOTNULL NULL OFFSET ON OR OUTER REFERENCES RETURNING RIGHT SELECT SET SOME TABLE THEN TRUE UNION UNIQUE UNNEST
    UPDATE USING VALUES WHEN WHERE WITH
"""
_NOT_RESERVED = """
    AUTOINCREMENT AUTO_INCREMENT COMMENT CUBE DATE DATETIME ESCAPE FILTER FIRST FUNCTION GLOB INDEX INTERVAL NEXT OVER
    PROCEDURE RECURSIVE REGEXP RENAME REPLACE RLIKE ROLLUP ROW ROWS SCHEMA SEQUENCE TEMP TEMPORARY TIME TIMESTAMP
    TRIGGER VIEW WINDOW
"""
_PHRASES = ("FOREIGN KEY", "GROUP BY", "GROUPING SETS", "ORDER BY", "PARTITION BY", "PRIMARY KEY", "SIMILAR TO")
_SIGNS = "== :: || >= <= <> != := <=> -> ->> => #> #>> && ?? ~~ ~*"

# GROUP and others are words of the tokenizer only with the word behind them; alone they are no names either.
RESERVED = frozenset({*_RESERVED.split(), "BY", "CHECK", "FOREIGN", "GROUP", "ORDER", "PRIMARY"})
_WORDS = (*_RESERVED.split(), *_NOT_RESERVED.split(), *_PHRASES, *_SIGNS.split())

NAME_TOKENS = frozenset({TokenType.VAR, TokenType.IDENTIFIER}) | {
    sqlglot.Tokenizer.KEYWORDS[word] for word in _NOT_RESERVED.split()
}


class Tokenizer(sqlglot.Tokenizer):
    HEX_STRINGS: ClassVar[list[str | tuple[str, str]]] = [("x'", "'"), ("X'", "'")]
    KEYWORDS: ClassVar[dict[str, TokenType]] = {word: sqlglot.Tokenizer.KEYWORDS[word] for word in _WORDS}
    COMMANDS: ClassVar[set[TokenType]] = set()

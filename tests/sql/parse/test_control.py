"""Statements that steer a transaction."""

from __future__ import annotations

import pytest

from rome.errors import SyntaxError_
from rome.sql.control import Act, Control, control


@pytest.mark.parametrize(
    ("sql", "act", "name"),
    [
        ("BEGIN", Act.BEGIN, None),
        ("begin transaction;", Act.BEGIN, None),
        ("START TRANSACTION", Act.BEGIN, None),
        ("COMMIT", Act.COMMIT, None),
        ("  commit work ", Act.COMMIT, None),
        ("END", Act.COMMIT, None),
        ("ROLLBACK", Act.ROLLBACK, None),
        ("SAVEPOINT sa_savepoint_1", Act.SAVEPOINT, "sa_savepoint_1"),
        ('SAVEPOINT "a ""b"""', Act.SAVEPOINT, 'a "b"'),
        ("RELEASE SAVEPOINT x", Act.RELEASE, "x"),
        ("release x", Act.RELEASE, "x"),
        ("ROLLBACK TO SAVEPOINT x", Act.ROLLBACK_TO, "x"),
        ("ROLLBACK TRANSACTION TO x", Act.ROLLBACK_TO, "x"),
        ("SET TRANSACTION ISOLATION LEVEL read  committed", Act.ISOLATION, "READ COMMITTED"),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", Act.ISOLATION, "SERIALIZABLE"),
    ],
)
def test_a_statement_that_steers_is_recognised(sql: str, act: Act, name: str | None) -> None:
    assert control(sql) == Control(act, name)


@pytest.mark.parametrize(
    "sql",
    ["SELECT 1", "INSERT INTO t VALUES (1)", "COMMENT ON TABLE t IS 'x'", "SET x = 1", "ENDING", "beginning", "", "?",
     "RELEASES", "start"],
)  # fmt: skip
def test_every_other_statement_is_left_to_the_parser(sql: str) -> None:
    assert control(sql) is None


@pytest.mark.parametrize(
    "sql",
    ["COMMIT x", "SAVEPOINT", "SAVEPOINT 1", "ROLLBACK TO", "RELEASE", "BEGIN; SELECT 1",
     "SET TRANSACTION ISOLATION LEVEL chaos"],
)  # fmt: skip
def test_a_half_written_one_is_a_syntax_error(sql: str) -> None:
    with pytest.raises(SyntaxError_, match="line 1, column 1"):
        control(sql)

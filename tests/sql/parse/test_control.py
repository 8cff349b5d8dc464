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
    ("sql", "act", "milliseconds"),
    [
        ("SET lock_timeout = 250", Act.LOCK_TIMEOUT, 250),
        ("set session LOCK_TIMEOUT to '5s';", Act.LOCK_TIMEOUT, 5_000),
        ("SET LOCAL lock_timeout='1 min'", Act.LOCAL_LOCK_TIMEOUT, 60_000),
        ("SET LOCAL lock_timeout TO '0'", Act.LOCAL_LOCK_TIMEOUT, 0),
        ("SET lock_timeout = DEFAULT", Act.LOCK_TIMEOUT, None),
    ],
)
def test_a_lock_timeout_is_in_milliseconds_or_with_its_unit(sql: str, act: Act, milliseconds: int | None) -> None:
    assert control(sql) == Control(act, milliseconds=milliseconds)


@pytest.mark.parametrize(
    "sql",
    ["SET lock_timeout", "SET lock_timeout = -1", "SET lock_timeout = '5 h'", "SET lock_timeout = '5",
     "SET lock_timeout 5", "SET lock_timeout = 1.5", "SET GLOBAL lock_timeout = 5", "SET lock_timeouts = 5",
     "SET lock_timeout = :p"],
)  # fmt: skip
def test_anything_else_in_its_place_is_refused(sql: str) -> None:
    try:
        assert control(sql) is None  # not known, and refused by the parser
    except SyntaxError_ as error:
        assert "SET [SESSION | LOCAL] lock_timeout" in str(error)


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

"""Paths into JSON, and what is found there."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rome.errors import DataError
from rome.sql.json_functions import extracted, is_valid, part, path_of, scalar_text, steps_of

KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | KEYS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(KEYS | st.integers(-9, 9), max_size=5))
def test_a_path_leads_along_the_steps_it_was_made_of(steps: list[str | int]) -> None:
    assert list(steps_of(path_of(steps))) == steps


@given(VALUES, st.data())
def test_every_part_is_found_as_it_is_written(value: object, data: st.DataObject) -> None:
    text = json.dumps(value)
    steps: list[str | int] = []
    while isinstance(value, (dict, list)) and value and data.draw(st.booleans()):
        step = data.draw(st.sampled_from(list(value) if isinstance(value, dict) else range(-len(value), len(value))))
        steps.append(step)
        value = value[step]  # type: ignore[index]
    found = part(text, path_of(steps))
    assert found == json.dumps(value)
    expected = None if value is None else value if isinstance(value, str) else found
    assert scalar_text(text, path_of(steps)) == extracted(text, path_of(steps)) == expected


@pytest.mark.parametrize(
    ("text", "where", "found"),
    [
        ('{"$": 1, "$.a": 2}', '$."$.a"', "2"),
        ('{"a.b": 1}', "a.b", "1"),
        ('{"": 1}', "", "1"),
        ('{"a": {"": 1}}', '$.a.""', "1"),
        ("[1, 2]", "$[#-0]", None),
        ("[1, 2]", 2, None),
        ("[1, 2]", -3, None),
        ("[1, 2]", "0", None),
        ('{"0": 1}', 0, None),
        ("5", "$", "5"),
        (" [ 1 ] ", "$", "[ 1 ]"),
        ('{"a": 1e400}', "a", "1e400"),
        ('{"é": "\\u00e9"}', "é", '"\\u00e9"'),
    ],
)
def test_a_step_finds_the_part_or_nothing(text: str, where: object, found: str | None) -> None:
    assert part(text, where) == found


@pytest.mark.parametrize("path", ["$.", "$a", "$[", "$[x]", "$[-1]", "$[1", '$."a', "$..a", "$ ", "$[#1]", '$."\\x"'])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(DataError, match="22023.*is no JSON path"):
        steps_of(path)


@pytest.mark.parametrize("where", [True, 1.5, b"a"])
def test_what_is_no_step_is_refused(where: object) -> None:
    with pytest.raises(DataError, match="22023.*leads nowhere"):
        part("{}", where)


def test_what_is_nested_too_deeply_is_refused() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    with pytest.raises(DataError, match="22032"):
        part(deep, 0)
    assert not is_valid(deep)

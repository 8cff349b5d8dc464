"""docs/keys.md is the format: every vector on the page is what the code does, in both directions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from rome import errors, values
from rome.driver.api import Cell
from rome.lock.names import encode_name
from rome.table.catalog import (
    FORMAT,
    CatalogCache,
    create_table,
    decode_entry,
    decode_table,
    encode_entry,
    encode_table,
)
from rome.table.constraints import check_violation
from rome.table.convert import convert
from rome.table.keycode import decode, encode
from rome.table.keys import Keys
from rome.table.objects import create_view, drop
from rome.table.rowcode import decode_value, decoder, encode_value, encoder
from rome.table.schema import Catalog, Check, Column, ForeignKey, Index, Numbering, Sequence, Table, View
from rome.txn.transaction import Transaction
from rome.txn.wave import Step
from rome.values import Kind
from tests.table.workbench import VARCHAR, Workbench, draft

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "keys.md").read_text()

PARSERS: dict[str, Callable[[str], Any]] = {
    "null": lambda text: {"NULL": None}[text],
    "boolean": json.loads,
    "bytes": bytes.fromhex,
    "string": json.loads,
    "json": json.loads,
    "integer": int,
    "float": float,
    "decimal": Decimal,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "interval": lambda text: timedelta(microseconds=int(text.removesuffix(" µs"))),
    "uuid": UUID,
}

IMAGES = Table(
    id=7,
    name="images",
    columns=(Column(1, "id", VARCHAR, False), Column(2, "name", values.TEXT), Column(3, "size", values.BIGINT)),
    primary_key=(1,),
    indexes=(Index(4, "ix_size", (3,)), Index(5, "uq_name", (2,), unique=True, constraint=True)),
    layouts={1: (1, 2, 3)},
    next_id=6,
)


def vectors(name: str) -> list[list[str]]:
    """The rows of the table behind a mark on the page, without backticks."""
    match = re.search(rf"<!-- vectors: {name} -->\n(?:\|.*\n){{2}}((?:\|.*\n)+)", PAGE)
    assert match, name
    rows = [line.strip("|").split(" | ") for line in match[1].splitlines()]
    return [[cell.strip().strip("`") for cell in row] for row in rows]


@pytest.mark.parametrize(("kind", "text", "key"), vectors("values"))
def test_values_in_keys(kind: str, text: str, key: str) -> None:
    value = PARSERS[kind](text)
    assert encode((value,)).hex(" ") == key
    assert decode(bytes.fromhex(key)) == (value,)


def test_the_vectors_have_every_tag() -> None:
    tags = {key[:2] for _, _, key in vectors("values")}
    listed = set(re.findall(r"^\| `([0-9a-f]{2})`", PAGE, re.M))
    assert len(listed) == 17
    assert listed <= tags | {"0c", "15"}
    assert {kind for kind, _, _ in vectors("values")} == set(PARSERS) - {"boolean", "json"}


@pytest.mark.parametrize(("kind", "text", "stored"), vectors("stored values"))
def test_stored_values(kind: str, text: str, stored: str) -> None:
    value = PARSERS[kind](text)
    assert encode_value(value).hex(" ") == stored
    assert decode_value(bytes.fromhex(stored), Kind.STRING if kind == "null" else Kind(kind)) == value


def test_every_kind_of_value_has_a_vector() -> None:
    assert {kind for kind, _, _ in vectors("stored values")} == set(Kind)


def test_keys() -> None:
    keys = Keys("g")
    numbered = replace(IMAGES, id=300, primary_key=())
    size, name = IMAGES.indexes
    assert [bytes.fromhex(key) for _, key in vectors("keys")] == [
        keys.namespace_prefix,
        keys.catalog_version,
        keys.catalog_counter,
        keys.table_cell(7),
        keys.table_prefix(IMAGES),
        keys.row_key(IMAGES, ("a",)),
        keys.row_key(numbered, (1,)),
        keys.index_key(IMAGES, size, ("a", "n", 5)),
        keys.index_key(IMAGES, size, ("a", "n", None)),
        keys.index_key(IMAGES, name, ("a", "n", 5)),
        keys.index_key(IMAGES, name, ("a", None, 5)),
        keys.sequence_key(IMAGES),
        keys.row_number_key(IMAGES),
        encode_name("g", "é:1"),
    ]


def test_rows() -> None:
    ((row, stored),) = vectors("row")
    values_ = tuple(json.loads(f"[{row}]"))
    assert encoder(IMAGES)(values_).hex(" ") == stored
    assert decoder(IMAGES)(bytes.fromhex(stored)) == values_


def test_the_description_of_a_table() -> None:
    match = re.search(r"<!-- vectors: table -->\n```json\n(.*?)\n```", PAGE, re.S)
    assert match
    table = replace(
        IMAGES,
        columns=(*IMAGES.columns[:2], replace(IMAGES.columns[2], missing=5)),
        foreign_keys=(ForeignKey("fk", (2,), "names", ("name",), "CASCADE"),),
        checks=(Check("ck", "size > 0"),),
    )
    written = json.loads(match[1])
    written["columns"][2]["missing"] = bytes.fromhex(written["columns"][2]["missing"])
    written["layouts"] = {int(layout): columns for layout, columns in written["layouts"].items()}
    assert msgspec.msgpack.decode(encode_table(table)) == written
    assert list(msgspec.msgpack.decode(encode_table(table))) == list(written)
    assert decode_table(msgspec.msgpack.encode(written)) == table
    assert "version 12 is `15 0c`" in PAGE


@pytest.mark.parametrize(
    "entry",
    [View(8, "large", "SELECT id FROM images WHERE size > 9", ("image",)), Sequence(9, "s", Numbering(10, 5))],
    ids=["view", "sequence"],
)
def test_the_descriptions_of_views_and_sequences(entry: View | Sequence) -> None:
    kind = type(entry).__name__.lower()
    match = re.search(rf"<!-- vectors: {kind} -->\n```json\n(.*?)\n```", PAGE, re.S)
    assert match
    cell = encode_entry(entry)
    assert cell[:1] == bytes.fromhex("76" if kind == "view" else "73")
    assert msgspec.msgpack.decode(cell[1:]) == json.loads(match[1])
    assert decode_entry(cell) == entry


def test_the_catalogue_says_its_format_while_there_is_something_that_the_first_one_lacks(bench: Workbench) -> None:
    def version() -> tuple[object, ...]:
        cell = bench.driver.read([bench.keys.catalog_version]).cells[0]
        assert cell is not None
        return tuple(decode(cell.value))

    def run(make: Callable[[Transaction, Catalog], Step[Catalog]]) -> None:
        with bench.transaction() as tx:
            tx.run(make(tx, tx.context))  # type: ignore[arg-type]

    run(lambda tx, catalog: create_table(tx, bench.keys, catalog, draft("t", "id int")))
    assert len(version()) == 1
    run(lambda tx, catalog: create_view(tx, bench.keys, catalog, View(0, "v", "SELECT 1")))
    assert version()[1:] == (FORMAT,)
    assert "`15 0c 15 02`" in PAGE and encode((12, FORMAT)) == bytes.fromhex("150c1502")
    run(lambda tx, catalog: drop(tx, bench.keys, catalog, [catalog.views["v"]]))
    assert len(version()) == 1


def test_a_field_that_is_absent_has_its_default_and_an_unknown_one_is_passed_over() -> None:
    fields = msgspec.msgpack.decode(encode_table(IMAGES))
    del fields["comment"]
    fields["of a later ROME"] = [1]
    assert decode_table(msgspec.msgpack.encode(fields)) == IMAGES


def test_the_version_cell_is_an_integer(bench: Workbench) -> None:
    bench.driver.commit((), [(bench.keys.catalog_version, bytes.fromhex("150c"))])
    tx = Transaction(bench.driver)
    assert tx.run(CatalogCache(bench.keys).load(tx)).version == 12
    assert isinstance(bench.driver.read([bench.keys.catalog_version]).cells[0], Cell)


def test_messages(bench: Workbench) -> None:
    bench.create(draft("images", "id str!, name str, size int", "id", unique=["name size"]))
    key = ForeignKey("fk_image", (2,), "images", ("id",))
    bench.create(draft("tags", "id int!, image str", "id", references=[key]))
    bench.insert("images", ("a", "it's", 5))
    bench.insert("tags", (1, "a"))
    check = Check("ck_size", "size >= 0")

    def refuse() -> None:
        raise check_violation(bench["images"], check)

    failures: list[Callable[[], object]] = [
        lambda: bench.insert("images", (None, None, None)),
        lambda: bench.insert("images", ("a", None, None)),
        lambda: bench.insert("images", ("b", "it's", 5)),
        lambda: bench.insert("tags", (2, "x")),
        lambda: bench.delete("images"),
        refuse,
        lambda: convert("x" * 40, VARCHAR, "images.id"),
    ]
    shapes = vectors("messages")
    assert len(failures) == len(shapes)
    for fail, (error, message) in zip(failures, shapes, strict=True):
        with pytest.raises(errors.DatabaseError) as caught:
            fail()
        assert (type(caught.value).__name__, str(caught.value)) == (error, message)

"""The indexes that Glance's schema lacks, and the lists of images profit from.

Glance's own indexes have one column each. A list shows the newest images of an owner, or of a visibility, and a page of
them is a page of an index over both columns: what it costs hangs on the page, not on the catalogue. A filter by a name,
a property, a tag or a member finds few images when it finds any, if there is an index that leads to them.

Each index is written with every row that it holds, so there is none here that the measured calls do not need.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy
from sqlalchemy import Engine, inspect

SHORTENING = ("rome", "mysql", "mariadb")  # take lengths behind the columns of an index
ONLINE = "rome"  # makes and drops an index while others write, and goes on with what was interrupted


@dataclass(frozen=True)
class TuningIndex:
    """An index named `name` on `columns` of `table`; `serves` says which calls of Glance's read less because of it.

    A number in brackets behind a column says how many of its first characters the index holds, where the database can
    do that: a property may be longer than any key.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    serves: str

    def create_sql(self, dialect: str) -> str:
        """The statement for a database that SQLAlchemy calls `dialect`."""
        columns = ", ".join(self.columns)
        if dialect not in SHORTENING:
            columns = re.sub(r"\(\d+\)", "", columns)
        online = "CONCURRENTLY " if dialect == ONLINE else ""
        return f"CREATE INDEX {online}{self.name} ON {self.table} ({columns})"

    def drop_sql(self, dialect: str) -> str:
        """The same for dropping it; on ROME the index may be gone already, and entries of it be left to erase."""
        online = "CONCURRENTLY IF EXISTS " if dialect == ONLINE else ""
        return f"DROP INDEX {online}{self.name} ON {self.table}"


INDEXES = (
    TuningIndex(
        "rome_images_owner_created_at", "images", ("owner", "created_at"), "the list of a project: its own images"
    ),
    TuningIndex(
        "rome_images_visibility_created_at",
        "images",
        ("visibility", "created_at"),
        "the list of a project: public and community images; the filter by visibility",
    ),
    TuningIndex(
        "rome_images_owner_status_created_at",
        "images",
        ("owner", "status", "created_at"),
        "the counts of a project's images, and its list by status",
    ),
    TuningIndex("rome_images_name_created_at", "images", ("name", "created_at"), "the filter by name"),
    TuningIndex("rome_images_status_created_at", "images", ("status", "created_at"), "the filter by status"),
    TuningIndex(
        "rome_image_properties_name_value",
        "image_properties",
        ("name", "value(255)", "image_id"),
        "the filter by a property, from its value or from an image",
    ),
    TuningIndex("rome_image_tags_value", "image_tags", ("value",), "the filter by tag"),
    TuningIndex(
        "rome_image_members_member_status",
        "image_members",
        ("member", "status"),
        "the list of a project: images shared with it",
    ),
)


@dataclass(frozen=True)
class Done:
    """An index that was created or dropped, and how long it took."""

    index: TuningIndex
    seconds: float


def present(engine: Engine) -> list[TuningIndex]:
    """Those of INDEXES that the store has."""
    return [index for index in INDEXES if index.name in _names(engine, index.table)]


def missing(engine: Engine) -> list[TuningIndex]:
    """Those of INDEXES that the store lacks. Raises `NoSuchTableError` where there is no schema of Glance's."""
    return [index for index in INDEXES if index.name not in _names(engine, index.table)]


def tune(engine: Engine) -> Iterator[Done]:
    """Create the missing indexes while Glance may be running; yields each when it is there.

    What an earlier call has begun and not ended is gone on with.
    """
    for index in missing(engine):
        yield _executed(engine, index, index.create_sql(engine.dialect.name))


def untune(engine: Engine) -> Iterator[Done]:
    """Drop those of INDEXES that the store has, while Glance may be running: the schema is Glance's own again.

    What an earlier call has begun and not ended is gone on with.
    """
    there, dialect = present(engine), engine.dialect.name
    for index in INDEXES if dialect == ONLINE else there:
        done = _executed(engine, index, index.drop_sql(dialect))
        if index in there:
            yield done


def _executed(engine: Engine, index: TuningIndex, sql: str) -> Done:
    begun = time.perf_counter()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sqlalchemy.text(sql))
    return Done(index, time.perf_counter() - begun)


def _names(engine: Engine, table: str) -> set[str | None]:
    return {index["name"] for index in inspect(engine).get_indexes(table)}

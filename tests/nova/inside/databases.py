"""The databases of Nova's own tests: for each a namespace, filled with a copy of a schema that was made once.

Nova's fixtures make the schema once in a process and keep it as SQLite's dump, which they run for each database. Here
a namespace is made once, by the models or by Nova's migrations, and its cells are copied byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from unittest import mock

import sqlalchemy
from nova.db import migration
from nova.db.api import models as api_models
from nova.db.main import models as main_models

from rome.config import parse
from rome.driver.api import Driver, Scan, Write
from rome.driver.open import open_store
from rome.table.keycode import after
from rome.table.keys import Keys
from tests.glance.inside.databases import database_url

METADATA = {"main": main_models.BASE.metadata, "api": api_models.BASE.metadata}
WRITES_PER_COMMIT = 100
SHADOW = "shadow_"


@dataclass(frozen=True)
class Template:
    """What lies in a namespace: its cells without the namespace's prefix, and its counter."""

    prefix: bytes
    cells: tuple[tuple[bytes, bytes], ...]
    counter: int


class Databases:
    """The namespaces of one store, at the URL `base`. `schema` is "models" or "migrations"."""

    def __init__(self, base: str, schema: str) -> None:
        self._base = base
        self._schema = schema
        self._templates: dict[str, Template] = {}
        self._filled: list[bytes] = []  # their prefixes
        self._driver: Driver = open_store(parse(database_url(base, "template").render_as_string(hide_password=False)))

    def fill(self, engine: sqlalchemy.Engine, kind: str) -> None:
        """Give the empty namespace that `engine` leads to the schema of the database `kind`, "main" or "api"."""
        if kind not in self._templates:
            self._templates[kind] = self._make_template(kind)
        template = self._templates[kind]
        keys = _keys(engine)
        self._filled.append(keys.namespace_prefix)
        writes: list[Write] = [
            (keys.namespace_prefix + suffix, _moved(value, template.prefix, keys.namespace_prefix))
            for suffix, value in template.cells
        ]
        for start in range(0, len(writes), WRITES_PER_COMMIT):
            self._driver.commit((), writes[start : start + WRITES_PER_COMMIT])
        self._driver.increment(keys.catalog_counter, 0, template.counter)

    def clear(self) -> None:
        """Empty every namespace that was filled."""
        while self._filled:
            self._driver.clear(self._filled.pop())

    def _make_template(self, kind: str) -> Template:
        url = database_url(self._base, f"template-{kind}")
        engine = sqlalchemy.create_engine(url)
        keys = _keys(engine)
        self._driver.clear(keys.namespace_prefix)
        if self._schema == "migrations":
            with mock.patch.object(migration, "_get_engine", return_value=engine):
                migration.db_sync(database=kind)
        else:
            METADATA[kind].create_all(engine)
            if kind == "main":
                _shadows().create_all(engine)
        scan = Scan(keys.namespace_prefix, after(keys.namespace_prefix))
        (found,) = self._driver.read((), (scan,)).scans
        cut = len(keys.namespace_prefix)
        cells = tuple((cell.key[cut:], cell.value) for cell in found)
        engine.dispose()
        return Template(keys.namespace_prefix, cells, self._driver.increment(keys.catalog_counter, 0))


def _keys(engine: sqlalchemy.Engine) -> Keys:
    return Keys(parse(engine.url.render_as_string(hide_password=False)).namespace)


def _moved(value: bytes, prefix: bytes, to: bytes) -> bytes:
    """An index entry's value is the key of its row."""
    return to + value[len(prefix) :] if value.startswith(prefix) else value


def _shadows() -> sqlalchemy.MetaData:
    """The tables of archived rows, which have no models: those of the models, without keys to other tables."""
    shadows = sqlalchemy.MetaData()
    for table in METADATA["main"].sorted_tables:
        if "deleted" not in table.columns:  # its rows are never archived
            continue
        columns = [
            sqlalchemy.Column(column.name, column.type, primary_key=column.primary_key, nullable=column.nullable)
            for column in table.columns
        ]
        sqlalchemy.Table(SHADOW + table.name, shadows, *columns)
    return shadows

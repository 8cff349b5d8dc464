"""`glance_compat` gives Glance's own classes and DB API, bound to any URL."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import glance.db.sqlalchemy.api
import glance.db.sqlalchemy.models
import glance.db.sqlalchemy.models_metadef
import pytest
import sqlalchemy
from glance.context import RequestContext

import glance_compat
from glance_compat import db, models, state
from glance_compat.client import Upload
from glance_compat.failure import Failure
from rome import orm
from tests.glance.inside.databases import database_url
from tests.glance.stores import EVERY_SHARED_STORE, EVERY_STORE, glance_store

MODEL_TABLES = {
    table.name for metadata in (models.metadata, models.metadef_metadata) for table in metadata.tables.values()
}


def tables(url: str) -> list[str]:
    engine = sqlalchemy.create_engine(url)
    try:
        return sqlalchemy.inspect(engine).get_table_names()
    finally:
        engine.dispose()


@pytest.fixture(params=EVERY_STORE)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A store of each kind; the connection keeps a memory store, which would go with its last one."""
    with glance_store(request.param, tmp_path) as store:
        url = database_url(store, f"compat-{uuid.uuid4().hex[:8]}").render_as_string(False)
        engine = sqlalchemy.create_engine(url)
        with engine.connect():
            yield url
        engine.dispose()


def test_models_are_the_classes_of_glances_wheel() -> None:
    for name in models.__all__:
        if name.startswith("Metadef"):
            assert getattr(models, name) is getattr(glance.db.sqlalchemy.models_metadef, name)
        elif not name.endswith("metadata"):
            assert getattr(models, name) is getattr(glance.db.sqlalchemy.models, name)


def test_every_model_of_glances_wheel_is_exported() -> None:
    bases = (glance.db.sqlalchemy.models.BASE, glance.db.sqlalchemy.models_metadef.BASE_DICT)
    mapped = {mapper.class_.__name__ for base in bases for mapper in base.registry.mappers}
    assert mapped == {name for name in models.__all__ if not name.endswith("metadata")}


def test_connect_binds_glances_own_db_api_and_a_second_url_takes_its_place(url: str) -> None:
    for number in (1, 2):
        separate = database_url(url, f"connect-{number}").render_as_string(hide_password=False)
        db.create_schema(separate)
        api = db.connect(separate)
        assert api is glance.db.sqlalchemy.api
        context = RequestContext(project_id="blue", roles=["member"])
        assert api.image_get_all(context) == []
        image = api.image_create(context, {"status": "queued", "visibility": "private", "owner": "blue"})
        assert [found["id"] for found in api.image_get_all(context)] == [image["id"]]


def test_create_schema_makes_the_tables_of_all_models_and_leaves_existing_ones_alone(url: str) -> None:
    db.create_schema(url)
    with orm.Session(url) as session:
        session.add(models.Image(id="1", status="queued", visibility="private"))
        session.commit()
    db.create_schema(url)
    with orm.Session(url) as session:
        assert session.scalars(sqlalchemy.select(models.Image.id)).all() == ["1"]
    assert set(tables(url)) == MODEL_TABLES


@pytest.mark.parametrize("store", EVERY_SHARED_STORE)
def test_create_schema_by_migrations_leaves_the_same_tables_and_alembics(store: str, tmp_path: Path) -> None:
    with glance_store(store, tmp_path) as url:
        db.create_schema(url, migrations=True)
        assert set(tables(url)) == MODEL_TABLES | {"alembic_version"}


def test_migrations_that_fail_end_with_what_glance_manage_said() -> None:
    with pytest.raises(db.SchemaError, match="nosuch"):
        db.create_schema("nosuch:///x", migrations=True)


def test_the_paste_file_gets_a_pipeline_without_keystone_and_keeps_the_rest() -> None:
    shipped = state.shipped("glance-api-paste.ini").read_text()
    written = state.trusted_paste(shipped)
    assert set(shipped.splitlines()) <= set(written.splitlines())
    pipeline = next(line for line in written.splitlines() if line.startswith("trusted = "))
    assert "authtoken" not in pipeline and pipeline.endswith(" trusted context in_turn rootapp")


def test_a_paste_file_of_another_form_is_refused() -> None:
    with pytest.raises(Failure, match="no keystone pipeline"):
        state.trusted_paste("[composite:api]\nkeystone = cors context rootapp\n")


def test_what_is_uploaded_is_what_a_download_is_compared_with() -> None:
    sent: list[int] = []
    upload = Upload(4 * len(Upload.PATTERN), sent.append)
    content = b"".join(iter(lambda: upload.read(10_000), b""))
    assert content == Upload.content(len(upload))
    assert sum(sent) == len(content)


def test_the_package_itself_gives_connect_and_create_schema() -> None:
    assert glance_compat.create_schema is db.create_schema
    assert glance_compat.connect is db.connect
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = glance_compat.nothing

"""Every name of the first version imports from its old path and is the one object of `rome.orm`."""

from __future__ import annotations

import importlib

import oslo_db.exception
import pytest
import sqlalchemy
import sqlalchemy.exc

from rome import orm

PATHS = {
    "rome.core.session.session": ["Session", "SessionDeadlock", "DBDeadlock"],
    "rome.core.session.utils": ["retry_on_db_deadlock", "DBDeadlock"],
    "rome.core.orm.query": ["Query", "and_", "or_"],
    "rome.core.orm.exc": ["NoResultFound", "MultipleResultsFound", "InvalidRequestError"],
    "rome.core.models": ["Entity", "global_scope"],
    "rome.core.dataformat.json": ["Encoder", "Decoder"],
    "rome.core.utils": ["LazyRelationship", "merge_dicts", "datetime_to_int", "current_milli_time"],
    "rome.conf.configuration": ["get_config", "Configuration"],
    "rome.utils.secondary_index_decorator": ["secondary_index_decorator"],
}


@pytest.mark.parametrize(("path", "name"), [(path, name) for path, names in PATHS.items() for name in names])
def test_an_old_path_leads_to_the_one_object(path: str, name: str) -> None:
    assert getattr(importlib.import_module(path), name) is getattr(orm, name)


def test_the_drivers_are_those_of_rome_orm() -> None:
    from rome.driver import database_driver, lock_driver
    from rome.orm import locks, objects

    assert database_driver.get_driver is objects.get_driver
    assert lock_driver.get_driver is locks.get_driver


def test_what_others_own_is_theirs() -> None:
    assert orm.DBDeadlock is oslo_db.exception.DBDeadlock and issubclass(orm.SessionDeadlock, orm.DBDeadlock)
    assert (orm.and_, orm.or_) == (sqlalchemy.and_, sqlalchemy.or_)
    for name in PATHS["rome.core.orm.exc"]:
        assert getattr(orm, name) is getattr(sqlalchemy.exc, name)
    assert issubclass(orm.Session, sqlalchemy.orm.Session) and issubclass(orm.Query, sqlalchemy.orm.Query)

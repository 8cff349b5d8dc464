"""Glance's DB API on a URL.

    from glance_compat.db import connect, create_schema

    create_schema("rome+lmdb:////var/lib/glance/rome")
    api = connect("rome+lmdb:////var/lib/glance/rome")
    image = api.image_create(context, {"status": "queued", "visibility": "private"})

`api` is the module `glance.db.sqlalchemy.api` itself, which keeps one connection for the whole process in
`oslo_config.cfg.CONF`; so `connect` moves every user of that module in this process to the new URL.
"""

from __future__ import annotations

import os
import subprocess
import sys
from types import ModuleType
from typing import cast

import sqlalchemy
from glance.common import config
from glance.db.sqlalchemy import api
from oslo_config import cfg
from oslo_db import options

from glance_compat import models


class SchemaError(RuntimeError):
    """Glance's migrations did not finish; the message ends with what `glance-manage` wrote."""


def connect(url: str) -> ModuleType:
    """Bind Glance's DB API to `url` and return it.

    The engine is opened by the first call of the API, with oslo.db's own settings ([database] of the configuration).
    """
    try:
        cfg.CONF.find_file("glance-api.conf")
    except cfg.NotInitializedError:  # no one has read a configuration yet; Glance's policies need one, if only empty
        config.set_config_defaults()
        cfg.CONF([], project="glance", default_config_files=[], default_config_dirs=[])
    options.set_defaults(cfg.CONF)
    cfg.CONF.set_override("connection", url, group="database")
    api.clear_db_env()
    return cast(ModuleType, api)


def create_schema(url: str, *, migrations: bool = False) -> None:
    """Create Glance's 15 tables at `url`, those that exist already left alone.

    By default from the models, as Glance's own tests do. With `migrations` by `glance-manage db sync`, which runs all
    alembic revisions and leaves the table `alembic_version`: what an installation that will be upgraded needs. It runs
    in a process of its own, because alembic reads oslo.db's process-wide connection, so a URL whose data lives in this
    process's memory cannot be migrated this way.

    Raises `SchemaError` when `glance-manage` fails.
    """
    if migrations:
        _migrate(url)
        return
    engine = sqlalchemy.create_engine(url)
    try:
        models.metadata.create_all(engine)
        models.metadef_metadata.create_all(engine)
    finally:
        engine.dispose()


def _migrate(url: str) -> None:
    environment = {**os.environ, "OS_DATABASE__CONNECTION": url}
    command = [sys.executable, "-m", "glance.cmd.manage", "db", "sync"]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        output = (finished.stderr + finished.stdout).strip()
        raise SchemaError(f"`glance-manage db sync` exited with {finished.returncode}:\n{output}")

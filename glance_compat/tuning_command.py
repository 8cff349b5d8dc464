"""`glance-on-rome tune`: the indexes that make lists cost what their page does, added to a store in service."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy
from rich.console import Console
from sqlalchemy.exc import NoSuchTableError, SQLAlchemyError

from glance_compat import tuning
from glance_compat.failure import Failure
from glance_compat.state import configured_connection, default_root, shown

CONFIGURATION = Path("etc") / "glance-api.conf"


def tune(console: Console, root: Path | None, connection: str | None, dry_run: bool, remove: bool) -> None:
    """Create the missing indexes of the store at `connection`, or of the state at `root`, and say how long each took.

    With `dry_run` only say which there are and which there are not; with `remove` drop them.
    """
    if connection is None:
        root = root or default_root(None, None)
        if not (root / CONFIGURATION).exists():
            raise Failure(f"{root} holds no state of glance-on-rome: give --state, or --connection with a URL")
        connection = configured_connection(root / CONFIGURATION)
    console.print(f"connection  {shown(connection)}", soft_wrap=True)
    engine = sqlalchemy.create_engine(connection)
    try:
        if dry_run:
            _list(console, engine)
        else:
            _change(console, engine, remove)
    except NoSuchTableError as error:
        raise Failure(f"the store has no table {error}: run `glance-manage db sync` first") from None
    except SQLAlchemyError as error:
        raise Failure(str(getattr(error, "orig", None) or error)) from None
    finally:
        engine.dispose()


def _list(console: Console, engine: sqlalchemy.Engine) -> None:
    present = tuning.present(engine)
    for index in tuning.INDEXES:
        console.print(f"{'present' if index in present else 'missing'}  {_described(index)}", soft_wrap=True)


def _change(console: Console, engine: sqlalchemy.Engine, remove: bool) -> None:
    count = 0
    for done in tuning.untune(engine) if remove else tuning.tune(engine):
        count += 1
        verb = "dropped" if remove else "created"
        console.print(f"{verb}  {_described(done.index)}  ({done.seconds:.1f} s)", soft_wrap=True)
    if not count:
        console.print("nothing to do: " + ("there is none of them" if remove else "all of them are there"))


def _described(index: tuning.TuningIndex) -> str:
    return f"{index.table} ({', '.join(index.columns)}): {index.serves}"


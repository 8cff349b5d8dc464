"""URLs of databases that keep apart what must not meet, on the store at one base URL."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import URL, make_url


def database_url(base: str, name: str) -> URL:
    """The URL of the database `name` on the store at `base`: a namespace of it (a file below it, for SQLite).

    `name` consists of letters, digits, `_`, `.` and `-`.
    """
    url = make_url(base)
    if url.get_backend_name() == "sqlite":
        assert url.database, f"{base} needs a path"
        Path(url.database).mkdir(parents=True, exist_ok=True)
        return url.set(database=f"{url.database}/{name}.db")
    namespace = url.query.get("namespace", "")
    assert isinstance(namespace, str)
    return url.update_query_dict({"namespace": f"{namespace}.{name}" if namespace else name})

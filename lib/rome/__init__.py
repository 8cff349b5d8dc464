"""ROME keeps the relational data of an unmodified SQLAlchemy application in a key/value store.

    SQL text → parse → bind → plan → optimize → execute → transaction → driver → store

An application reaches it through SQLAlchemy, by one URL (`rome+lmdb:////var/lib/glance/rome`), or through PEP 249, by
`rome.connect(url)`; `rome.explain(url, sql)` shows how a statement is executed. The house has floors, and a floor
imports only floors below it:

| floor                                      | turns                         | into                       |
|--------------------------------------------|-------------------------------|----------------------------|
| `rome.dialect`, `rome.dbapi`, `rome.orm`   | SQLAlchemy and PEP 249 calls  | SQL text and parameters    |
| `rome.conversation`                        | one connection's statements   | transactions, replayed     |
| `rome.database`                            | a URL                         | one opened store           |
| `rome.sql`                                 | SQL text                      | rows                       |
| `rome.table`                               | rows, indexes, constraints    | ordered keys and values    |
| `rome.txn`                                 | reads and buffered writes     | one serializable commit    |
| `rome.lock`                                | names, and rows to be locked  | leases, fencing tokens     |
| `rome.driver`                              | reads, scans, writes          | one store's commands       |

`rome.errors`, `rome.values` and `rome.config` are words that every floor may use. `rome.testing` (conformance suites
for drivers and transactions) stands beside the house: it imports from it and no floor imports it. docs/architecture.md
says more, and a test holds the imports to it.

Importing `rome` imports no store's client library; opening a store does, and names the pip line if it is missing.
"""

from __future__ import annotations

__version__ = "0.1.0"

if __name__ != "rome":
    raise ImportError(
        f"ROME is being imported as {__name__!r}; its source root is the directory `lib`, "
        "so put `lib` on sys.path (or run `pip install .`) and import `rome`."
    )

from rome.dbapi import connect, explain  # noqa: E402 - the check above must come first

__all__ = ["__version__", "connect", "explain"]

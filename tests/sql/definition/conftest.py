from __future__ import annotations

import pytest

from tests.sql.definition.conversation import Conversation


@pytest.fixture
def store() -> Conversation:
    """A store with nothing in it."""
    return Conversation()


@pytest.fixture
def filled(store: Conversation) -> Conversation:
    """Two tables, the second referencing the first, with two rows each."""
    store.run(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY, name VARCHAR(10))",
        """CREATE TABLE child (id INTEGER NOT NULL, parent_id INTEGER, code VARCHAR(5) DEFAULT 'abc' NOT NULL, size INT,
           CONSTRAINT pk_child PRIMARY KEY (id), CONSTRAINT uq_code UNIQUE (code),
           CONSTRAINT fk_parent FOREIGN KEY (parent_id) REFERENCES parent, CONSTRAINT ck_size CHECK (size > 0))""",
        "CREATE INDEX ix_size ON child (size)",
        "INSERT INTO parent (name) VALUES ('x'), ('y')",
        "INSERT INTO child (parent_id, size) VALUES (1, 10)",
        "INSERT INTO child (parent_id, code, size) VALUES (2, 'def', 20)",
    )
    return store

"""What named locks are called in a store, beside the keys of rows."""

from __future__ import annotations

import pytest

from rome.lock.names import decode_name, encode_name, names_prefix
from rome.table.keys import Keys


@pytest.mark.parametrize("namespace", ["", "g", "glance", "A-z_0.9", "n" * 64])
def test_the_names_of_locks_lie_in_their_namespace_beside_its_rows_and_catalogue(namespace: str) -> None:
    keys = Keys(namespace)
    prefix = names_prefix(namespace)
    assert prefix == keys.namespace_prefix + b"\x6c"
    rows = keys.namespace_prefix + b"d"
    for other in (keys.catalog_version, keys.catalog_counter, keys.table_cell(1), *keys.catalog_range, rows):
        assert not other.startswith(prefix) and not prefix.startswith(other)


@pytest.mark.parametrize("name", ["a", "image-import:42", "é\0", "\U0010ffff"])
def test_a_name_comes_back_from_the_store_as_it_was(name: str) -> None:
    assert decode_name("g", encode_name("g", name)) == name
    assert encode_name("g", name) == b"\x07g\x00l" + name.encode()

"""What ROME can do, in the words of SQLAlchemy's test suites: the class that `--requirements` names.

    pytest -p sqlalchemy.testing.plugin.pytestplugin --requirements rome.dialect.requirements:Requirements \
        --dburi rome+lmdb:////tmp/store test_suite.py

A flag that no list names has the answer that SQLAlchemy's `SuiteRequirements` gives for every database, or reads off
the dialect. Every flag that decides a test of the compliance suite and is closed is on docs/sql.md, with its reason; a
test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.testing import exclusions
from sqlalchemy.testing.requirements import SuiteRequirements

from rome.dialect.dialect import ISOLATION_LEVELS

_OPEN = """
    aggregate_order_by
    autocommit
    boolean_col_expressions
    cast_precision_numerics_many_significant_digits
    check_constraint_reflection
    comment_reflection
    comment_reflection_full_unicode
    computed_columns
    computed_columns_default_persisted
    computed_columns_reflect_persisted
    computed_columns_stored
    computed_columns_virtual
    constraint_comment_reflection
    create_or_replace_view
    create_table_as
    create_temp_table_as
    ctes
    ctes_with_update_delete
    ctes_with_values
    date_historic
    datetime_historic
    datetime_interval
    datetime_literals
    datetime_timezone
    datetime_timezone_historic
    dbapi_lastrowid
    delete_from
    emulated_lastrowid
    except_
    expression_server_defaults
    fetch_expression
    fetch_first
    fetch_no_order_by
    fetch_offset_with_options
    fetch_percent
    fetch_ties
    fk_constraint_option_reflection_ondelete_noaction
    fk_constraint_option_reflection_ondelete_restrict
    fk_constraint_option_reflection_onupdate_restrict
    float_or_double_precision_behaves_generically
    foreign_key_constraint_name_reflection
    foreign_key_constraint_option_reflection_ondelete
    foreign_key_constraint_option_reflection_onupdate
    has_temp_table
    identity_columns
    identity_columns_standard
    index_ddl_if_exists
    indexes_check_column_order
    inline_check_constraint_reflection
    intersect
    isolation_level
    json_array_indexes
    json_index_supplementary_unicode_element
    json_type
    legacy_unconditional_json_extract
    mod_operator_as_percent_sign
    nested_aggregates
    nullsordering
    nvarchar_types
    order_by_label_with_expression
    percent_schema_names
    precision_numerics_enotation_small
    precision_numerics_many_significant_digits
    precision_numerics_retains_significant_digits
    reflect_table_options
    reflects_pk_names
    regexp_match
    regexp_replace
    repeated_remote_col_foreign_keys
    savepoints
    server_defaults
    skip_autocommit_rollback
    supports_bitwise_and
    supports_bitwise_not
    supports_bitwise_or
    supports_bitwise_shift
    supports_bitwise_xor
    table_ddl_if_exists
    table_value_constructor
    temp_table_comment_reflection
    temp_table_names
    timestamp_microseconds
    timestamp_microseconds_implicit_bound
    tuple_in
    tuple_in_w_empty
    unicode_ddl
    update_from
    update_where_target_in_subquery
    uuid_data_type
    views
    window_functions
    window_range
    window_range_non_numeric
    window_range_numeric
"""
OPEN = frozenset(_OPEN.split())
"""Capabilities that SQLAlchemy takes for rare; ROME has them."""

CLOSED: Mapping[str, str] = {
    "array_type": "there is no ARRAY; JSON holds lists",
    "column_collation_reflection": "there are no collations: strings compare by code point",
    "cross_schema_fk_reflection": "there are no schemas; a namespace in the URL keeps databases apart",
    "date_coerces_from_datetime": "a datetime with a time of day is refused where a date is wanted, not cut",
    "default_schema_name_switch": "there are no schemas",
    "implicitly_named_constraints": "a constraint without a name keeps none",
    "index_reflects_included_columns": "an index holds no further columns: the row comes in the same round trip",
    "indexes_with_expressions": "an index is on columns; a computed column can be one of them",
    "infinity_floats": "a float is finite, so that it has its place in every order and sum",
    "materialized_views": "a view is worked out when it is read",
    "order_by_collation": "there are no collations",
    "reflect_indexes_with_expressions": "an index is on columns",
    "reflect_tables_no_columns": "a table has a column",
    "repeated_column_foreign_keys": "a foreign key names a column once",
    "schema_create_delete": "there are no schemas",
    "schema_reflection": "there are no schemas",
    "schemas": "there are no schemas",
    "server_side_cursors": "a statement's rows are read as it runs; a cursor would hold its snapshot open",
    "supports_distinct_on": "row_number() in a subquery says which row is meant",
    "temporary_views": "a view outlives the connection that made it",
    "time_timezone": "a time of day alone has no moment, so no time zone can be taken from it",
}
"""Capabilities that decide a test of the compliance suite, and why ROME does without."""

DIFFERENT: Mapping[str, str] = {
    "denormalized_names": "names are kept as they are written",
    "foreign_keys_reflect_as_index": "a foreign key is not listed among the indexes",
    "json_deserializer_binary": "JSON reaches the deserializer as a string",
    "materialized_views_reflect_pk": "of materialized views",
    "reflect_indexes_with_ascdesc_as_expression": "DESC is shown as DESC",
    "unique_constraints_reflect_as_index": "a UNIQUE constraint is not listed among the indexes",
    "unique_index_reflect_as_unique_constraints": "a unique index is not listed among the constraints",
}
"""Flags that say how a database differs, not what it lacks, with what is so in ROME."""


class Requirements(SuiteRequirements):
    """ROME's answers; the properties are made from the lists above."""

    def get_isolation_levels(self, config: Any) -> dict[str, Any]:
        """The level of a new connection, and all there are."""
        return {"default": "SERIALIZABLE", "supported": list(ISOLATION_LEVELS)}


def _declare(flag: str, answer: Any) -> None:
    setattr(Requirements, flag, property(lambda self: answer))


for _flag in OPEN:
    _declare(_flag, exclusions.open())
for _flag, _reason in {**CLOSED, **DIFFERENT}.items():
    _declare(_flag, exclusions.closed(_reason))

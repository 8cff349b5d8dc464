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
    ctes
    ctes_on_dml
    ctes_with_update_delete
    ctes_with_values
    date_historic
    datetime_historic
    datetime_interval
    datetime_literals
    datetime_timezone
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
    "date_coerces_from_datetime": "a datetime is no date: it is refused, not cut",
    "implicitly_named_constraints": "a constraint without a name keeps none",
    "repeated_column_foreign_keys": "a foreign key names a column once",
}
"""Capabilities that SQLAlchemy takes for granted, and why ROME does without."""


class Requirements(SuiteRequirements):
    """ROME's answers; the properties are made from the two lists above."""

    def get_isolation_levels(self, config: Any) -> dict[str, Any]:
        """The level of a new connection, and all there are."""
        return {"default": "SERIALIZABLE", "supported": list(ISOLATION_LEVELS)}


def _declare(flag: str, answer: Any) -> None:
    setattr(Requirements, flag, property(lambda self: answer))


for _flag in OPEN:
    _declare(_flag, exclusions.open())
for _flag, _reason in CLOSED.items():
    _declare(_flag, exclusions.closed(_reason))

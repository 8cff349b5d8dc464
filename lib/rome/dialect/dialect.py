"""The dialects: what SQLAlchemy may expect of ROME, connections, isolation levels, errors that mean a lost store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from sqlalchemy import URL, Connection
from sqlalchemy.engine.characteristics import ConnectionCharacteristic
from sqlalchemy.engine.default import DefaultDialect, DefaultExecutionContext
from sqlalchemy.engine.interfaces import BindTyping

import rome
from rome import errors
from rome.config import parse
from rome.dialect.compiler import RomeCompiler, RomeIdentifierPreparer
from rome.dialect.ddl import RomeDDLCompiler
from rome.dialect.reflection import Reflection
from rome.dialect.types import COLSPECS, RomeTypeCompiler

ISOLATION_LEVELS = ("SERIALIZABLE", "READ COMMITTED", "AUTOCOMMIT")


class LeaseCharacteristic(ConnectionCharacteristic):
    """The execution option `rome_lease`: the lease that a connection's transactions run under, until it is returned."""

    transactional = True

    def set_characteristic(self, dialect: Any, dbapi_conn: Any, value: Any) -> None:
        dbapi_conn.lease = value

    def get_characteristic(self, dialect: Any, dbapi_conn: Any) -> Any:
        return dbapi_conn.lease

    def reset_characteristic(self, dialect: Any, dbapi_conn: Any) -> None:
        dbapi_conn.lease = None


class RomeExecutionContext(DefaultExecutionContext):
    """Runs statements."""

    def fire_sequence(self, seq: Any, type_: Any) -> Any:
        """The next number of a sequence that an INSERT needs before it is sent."""
        return self._execute_scalar(f"SELECT NEXT VALUE FOR {self.identifier_preparer.format_sequence(seq)}", type_)


class RomeDialect(Reflection, DefaultDialect):
    """ROME on any store: the URL's scheme says which.

    Values travel as native Python values, conflicts are replayed below, and nothing here asks for a round trip: a
    ping only looks whether the connection is open, ROLLBACK and COMMIT of a transaction that wrote nothing are free.
    """

    name = "rome"
    driver = "rome"
    supports_statement_cache = True

    execution_ctx_cls = RomeExecutionContext
    statement_compiler = RomeCompiler
    ddl_compiler = RomeDDLCompiler
    type_compiler_cls = RomeTypeCompiler
    preparer = RomeIdentifierPreparer
    colspecs = COLSPECS

    default_paramstyle = "named"
    bind_typing = BindTyping.NONE
    max_identifier_length = 255

    supports_alter = True
    supports_comments = True
    supports_constraint_comments = True
    inline_comments = True
    supports_schemas = False
    supports_views = True
    supports_sequences = True
    sequences_optional = True
    supports_identity_columns = True
    supports_native_boolean = True
    supports_native_decimal = True
    supports_native_uuid = True
    returns_native_bytes = True
    supports_is_distinct_from = True
    supports_simple_order_by_label = True
    div_is_floordiv = True
    tuple_in_values = False

    connection_characteristics = DefaultDialect.connection_characteristics.union({"rome_lease": LeaseCharacteristic()})

    supports_default_values = True
    supports_default_metavalue = False
    supports_empty_insert = False
    supports_multivalues_insert = True
    postfetch_lastrowid = True
    supports_sane_rowcount = True
    supports_sane_multi_rowcount = True

    # executemany with RETURNING is done below in one wave, rows in the order of the parameters, so SQLAlchemy need not
    # write one VALUES list for each size of batch ("insertmanyvalues"), every one of them another text to plan.
    insert_returning = True
    update_returning = True
    delete_returning = True
    update_returning_multifrom = True
    delete_returning_multifrom = True
    use_insertmanyvalues = False
    insert_executemany_returning = True
    insert_executemany_returning_sort_by_parameter_order = True
    update_executemany_returning = True
    delete_executemany_returning = True

    def __init__(
        self,
        json_serializer: Callable[[Any], str] | None = None,
        json_deserializer: Callable[[str], Any] | None = None,
        **kw: Any,
    ) -> None:
        """The two functions, of `create_engine`, take the place of json.dumps and json.loads in JSON columns."""
        super().__init__(**kw)
        self._json_serializer = json_serializer
        self._json_deserializer = json_deserializer

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        from rome import dbapi

        return dbapi

    def create_connect_args(self, url: URL) -> tuple[Sequence[Any], dict[str, Any]]:
        """The parsed URL: one for the engine, so that all of its connections share one private memory store."""
        return (parse(url.render_as_string(hide_password=False)),), {}

    def _get_server_version_info(self, connection: Connection) -> tuple[int, ...]:
        return tuple(int(part) for part in rome.__version__.split(".") if part.isdigit())

    def retrieve_dbapi_version(self, dbapi: Any) -> Any:
        return tuple(int(part) for part in rome.__version__.split(".") if part.isdigit())

    def _get_default_schema_name(self, connection: Connection) -> Any:
        return None

    # ---- isolation

    def get_isolation_level_values(self, dbapi_conn: Any) -> Sequence[Any]:
        return ISOLATION_LEVELS

    def get_isolation_level(self, dbapi_connection: Any) -> Any:
        return dbapi_connection.isolation_level

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        dbapi_connection.isolation_level = level

    def detect_autocommit_setting(self, dbapi_conn: Any) -> bool:
        return bool(dbapi_conn.autocommit)

    # ---- connections

    def do_ping(self, dbapi_connection: Any) -> bool:
        """Look whether the connection is open. The store is not asked: drivers reconnect by themselves."""
        dbapi_connection.ping()
        return True

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """A store out of reach, or a connection that is closed."""
        if isinstance(e, errors.InterfaceError):
            return connection_closed(connection)
        return isinstance(e, errors.Unavailable)


def connection_closed(connection: Any) -> bool:
    """Whether the DBAPI connection, perhaps in a pool's wrapper, has been closed."""
    inner = getattr(connection, "dbapi_connection", connection)
    return inner is not None and bool(inner.closed)


class RomeLmdbDialect(RomeDialect):
    """rome+lmdb:////path — an LMDB directory."""

    driver = "lmdb"
    supports_statement_cache = True


class RomeMemoryDialect(RomeDialect):
    """rome+memory:// — a private store for each engine; rome+memory:///name — shared by name in this process."""

    driver = "memory"
    supports_statement_cache = True


class RomeRedisDialect(RomeDialect):
    """rome+redis://host:port/store — a store on a Redis or Valkey server."""

    driver = "redis"
    supports_statement_cache = True


class RomeRedissDialect(RomeDialect):
    """rome+rediss://host:port/store — the same over TLS."""

    driver = "rediss"
    supports_statement_cache = True


class RomeEtcdDialect(RomeDialect):
    """rome+etcd://host:port/store — a store on an etcd server or cluster."""

    driver = "etcd"
    supports_statement_cache = True


class RomeEtcdsDialect(RomeDialect):
    """rome+etcds://host:port/store — the same over TLS."""

    driver = "etcds"
    supports_statement_cache = True


__all__ = [
    "RomeDialect",
    "RomeEtcdDialect",
    "RomeEtcdsDialect",
    "RomeLmdbDialect",
    "RomeMemoryDialect",
    "RomeRedisDialect",
    "RomeRedissDialect",
]

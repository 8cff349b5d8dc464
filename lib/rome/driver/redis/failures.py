"""What becomes of the exceptions of the client library: one table by class, one by the code of the server's reply."""

from __future__ import annotations

import ssl
from typing import NamedTuple

import redis

from rome.errors import (
    DatabaseError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ReadOnlyStore,
    StoreFull,
    Unavailable,
)


class Meaning(NamedTuple):
    """The error that the client's becomes, and what to do about it."""

    kind: type[DatabaseError]
    advice: str
    sqlstate: str | None = None
    lost: bool = False  # no reply came: a commit that was sent may have been applied


_AWAY = Meaning(Unavailable, "the server cannot be reached, or closed the connection", lost=True)
_LATE = Meaning(Unavailable, "the server did not answer in time: is it overloaded?", lost=True)
_DEFECT = Meaning(InternalError, "the server refused a call that ROME should not have made; please report it")
_CLUSTER = Meaning(
    NotSupportedError, "this is a node of a Redis Cluster, in which ROME cannot commit: name a server outside of one"
)
_CLUSTER_BUSY = Meaning(Unavailable, "the server belongs to a Redis Cluster that is not in order")
_LOGIN = Meaning(OperationalError, "the server refuses the user or the password: mend the URL", "28P01")
_RIGHTS = Meaning(
    OperationalError, "the server's ACL does not let this user do that: docs/drivers.md lists the rights", "42501"
)
_REPLICA = Meaning(ReadOnlyStore, "the server is a replica: name the primary, or let Sentinel name it")

CLASSES: dict[str, Meaning] = {
    "AskError": _CLUSTER,
    "AuthenticationError": _LOGIN,
    "AuthenticationWrongNumberOfArgsError": _LOGIN,
    "AuthorizationError": _RIGHTS,
    "BusyLoadingError": Meaning(Unavailable, "the server is still reading its data from the disk"),
    "ChildDeadlockedError": _DEFECT,
    "ClusterCrossSlotError": _CLUSTER,
    "ClusterDownError": _CLUSTER_BUSY,
    "ClusterError": _CLUSTER_BUSY,
    "ConnectionError": _AWAY,
    "CrossSlotTransactionError": _CLUSTER,
    "DataError": _DEFECT,
    "ExecAbortError": _DEFECT,
    "ExternalAuthProviderError": Meaning(Unavailable, "the server cannot reach what it asks about passwords"),
    "IncorrectPolicyType": _DEFECT,
    "InvalidPipelineStack": _DEFECT,
    "InvalidResponse": Meaning(Unavailable, "what answers there does not speak Redis's protocol", lost=True),
    "LockError": _DEFECT,
    "LockNotOwnedError": _DEFECT,
    "MasterDownError": Meaning(Unavailable, "the server is a replica that has lost its primary"),
    "MasterNotFoundError": Meaning(Unavailable, "no Sentinel names a primary: is the name right, and are they up?"),
    "MaxConnectionsError": Meaning(Unavailable, "all connections are in use: raise max_connections"),
    "ModuleError": _DEFECT,
    "MovedError": _CLUSTER,
    "NoPermissionError": _RIGHTS,
    "NoScriptError": Meaning(Unavailable, "the server forgets scripts as soon as it has them: run no SCRIPT FLUSH"),
    "NoSuchFieldsetError": _DEFECT,
    "OutOfMemoryError": Meaning(StoreFull, "the server has reached its maxmemory: raise it or make room"),
    "PubSubError": _DEFECT,
    "ReadOnlyError": _REPLICA,
    "RedisClusterException": _CLUSTER,
    "RedisError": _DEFECT,
    "ResponseError": _DEFECT,
    "SlaveNotFoundError": _DEFECT,
    "SlotNotCoveredError": _CLUSTER_BUSY,
    "TimeoutError": _LATE,
    "TryAgainError": _CLUSTER_BUSY,
    "WatchError": _DEFECT,
}
"""By the name of the client's exception class; a class that is missing means what its nearest base does."""

_NO_LOGIN = Meaning(OperationalError, "the server wants a password: give one in the URL", "28000")

CODES: dict[str, Meaning] = {
    "BUSY": Meaning(Unavailable, "the server is busy with another client's script"),
    "DENIED": Meaning(OperationalError, "the server is in protected mode: give it a password or bind it", "28000"),
    "MISCONF": Meaning(Unavailable, "the server cannot write to its disk and refuses changes: look at its log"),
    "NOAUTH": _NO_LOGIN,
    "NOREPLICAS": Meaning(Unavailable, "the server has fewer replicas than it needs to accept changes"),
    "NOPERM": _RIGHTS,
    "WRONGTYPE": Meaning(OperationalError, "a key of the store is of another type: something else wrote to it"),
}
"""By the first word of the server's reply, before the class is looked at."""

PHRASES: dict[str, Meaning] = {
    "The user executing the script": _RIGHTS,
    "ACL failure in script": _RIGHTS,
    "Authentication required": _NO_LOGIN,
    "HELLO must be called with the client already authenticated": _NO_LOGIN,
}
"""By the beginning of the server's message, where it has no code of its own or an older client has cut it off."""

_NO_TLS = Meaning(
    OperationalError,
    "TLS failed: a port without it needs rome+redis, not rome+rediss; a server that wants a certificate of its clients "
    "needs cert_file",
    "08001",
)
_UNTRUSTED = Meaning(OperationalError, "the server's certificate is not trusted: give ca_file", "08001")
_MISNAMED = Meaning(
    OperationalError, "the server's certificate is for another name: write the name that it is for in the URL", "08001"
)
_MISNAMED_CODES = (62, 64)  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH


def meaning(error: Exception) -> Meaning:
    """What `error`, an exception of the client, means."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _MISNAMED if cause.verify_code in _MISNAMED_CODES else _UNTRUSTED
    if isinstance(cause, ssl.SSLError):
        return _NO_TLS
    code = getattr(error, "status_code", None) or str(error).split(" ", 1)[0]
    if code in CODES:
        return CODES[code]
    for beginning, found in PHRASES.items():
        if str(error).startswith(beginning):
            return found
    return next(CLASSES[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in CLASSES)


def failure(error: Exception, place: str) -> DatabaseError:
    """Our error for `error`, an exception of the client, met at the store at `place`."""
    kind, advice, sqlstate, _ = meaning(error)
    return kind(f"{place}: {advice} ({error})", sqlstate=sqlstate)


FOREIGN = (redis.RedisError, redis.exceptions.ChildDeadlockedError)
"""What to catch around a call of the client."""

"""What becomes of the client's exceptions: one table by class, one by gRPC status, one by what etcd says."""

from __future__ import annotations

import ssl
from typing import NamedTuple

from h2.exceptions import H2Error

from rome.driver.etcd.channel import Broken, Refused
from rome.errors import (
    Conflict,
    DatabaseError,
    InternalError,
    NotSupportedError,
    OperationalError,
    StoreFull,
    Unavailable,
)


class LeaseGone(Unavailable):
    """A lease of etcd that the call named has run out; nothing was written."""


class Behind(Unavailable):
    """The member that was asked has not come to the revision that the call named."""


class Meaning(NamedTuple):
    """The error that the client's becomes, and what to do about it."""

    kind: type[DatabaseError]
    advice: str
    sqlstate: str | None = None
    lost: bool = False  # no verdict came: a commit that was sent may have been applied
    elsewhere: bool = False  # another member may do better
    login: bool = False  # a new token may do


_AWAY = Meaning(Unavailable, "the server cannot be reached, or closed the connection", lost=True, elsewhere=True)
_UNSENT = Meaning(Unavailable, "the server cannot be reached, or closed the connection", elsewhere=True)
_LATE = Meaning(
    Unavailable,
    "the server did not answer in time: is it overloaded, and are more than half of its members running?",
    lost=True,
    elsewhere=True,
)  # fmt: skip
_DEFECT = Meaning(InternalError, "the server refused a call that ROME should not have made; please report it")
_FOREIGN_TONGUE = Meaning(
    Unavailable, "what answers there does not speak etcd's protocol", lost=True, elsewhere=True
)
_LOGIN = Meaning(OperationalError, "the server refuses the user or the password: mend the URL", "28P01")
_NO_LOGIN = Meaning(OperationalError, "the server wants a user and a password: give them in the URL", "28000")
_EXPIRED = Meaning(Unavailable, "the login has expired", login=True)
_RIGHTS = Meaning(
    OperationalError, "this user may not do that: docs/drivers.md lists the rights that a store needs", "42501"
)
_NO_MAJORITY = Meaning(
    Unavailable, "the cluster has no leader: are more than half of its members running?", elsewhere=True
)
_UNDECIDED = Meaning(
    Unavailable, "the cluster did not decide in time: are more than half of its members running?", lost=True,
    elsewhere=True,
)  # fmt: skip
_FULL = Meaning(
    StoreFull,
    "the server has raised its NOSPACE alarm: compact and defragment it or raise --quota-backend-bytes, then "
    "`etcdctl alarm disarm`",
)
_CORRUPT = Meaning(OperationalError, "the server has raised its CORRUPT alarm: a member disagrees with the others")
_NO_TLS = Meaning(OperationalError, "TLS failed: a port without it needs rome+etcd, not rome+etcds", "08001")
_UNTRUSTED = Meaning(OperationalError, "the server's certificate is not trusted: give ca_file", "08001")
_MISNAMED = Meaning(
    OperationalError, "the server's certificate is for another name: write the name that it is for in the URL", "08001"
)
_MISNAMED_CODES = (62, 64)  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH
_NO_CERTIFICATE = Meaning(
    OperationalError, "the server wants a certificate of this client: give cert_file and key_file", "08001"
)

PHRASES: dict[str, Meaning] = {
    "etcdserver: mvcc: required revision has been compacted": Meaning(
        Conflict, "the state that this transaction read has been compacted away: run it again"
    ),
    "etcdserver: mvcc: required revision is a future revision": Meaning(Behind, "a member lags behind the others"),
    "etcdserver: mvcc: database space exceeded": _FULL,
    "etcdserver: no space": _FULL,
    "etcdserver: corrupt cluster": _CORRUPT,
    "etcdserver: no leader": _NO_MAJORITY,
    "etcdserver: not leader": _NO_MAJORITY,
    "etcdserver: leader changed": _UNDECIDED,
    "etcdserver: request timed out": _UNDECIDED,
    "etcdserver: request is too large": Meaning(
        OperationalError, "the server takes smaller requests than ROME sends: raise its --max-request-bytes to 1572864"
    ),
    "etcdserver: too many operations in txn request": Meaning(
        OperationalError, "the server takes fewer operations in a transaction than ROME sends: raise its --max-txn-ops "
        "to 128",
    ),
    "etcdserver: too many requests": Meaning(Unavailable, "the server is overloaded"),
    "etcdserver: authentication failed, invalid user ID or password": _LOGIN,
    "etcdserver: authentication is not enabled": Meaning(
        OperationalError, "the server knows no users: take user and password out of the URL", "28000"
    ),
    "etcdserver: user name is empty": _NO_LOGIN,
    "etcdserver: user name not found": _LOGIN,
    "etcdserver: invalid auth token": _EXPIRED,
    "etcdserver: requested lease not found": Meaning(LeaseGone, "a lease has run out while this process stood still"),
    "etcdserver: revision of auth store is old": _EXPIRED,
    "etcdserver: permission denied": _RIGHTS,
}  # fmt: skip
"""By the beginning of what the server says."""

CODES: dict[int, Meaning] = {
    4: _LATE,  # DEADLINE_EXCEEDED
    5: _DEFECT,  # NOT_FOUND
    7: _RIGHTS,
    8: Meaning(Unavailable, "the server has no room for the request"),
    12: Meaning(NotSupportedError, "the server does not know this call: ROME needs etcd 3.4 or newer"),
    14: _UNDECIDED,
    16: _EXPIRED,
}
"""By gRPC status, where no phrase is known; one that is missing is a defect."""


def meaning(error: Exception) -> Meaning:
    """What `error`, an exception of the client, means."""
    if isinstance(error, Refused):
        for beginning, found in PHRASES.items():
            if error.message.startswith(beginning):
                return found
        return CODES.get(error.code, _DEFECT)
    if isinstance(error, Broken):
        return _AWAY if error.sent else _UNSENT
    if isinstance(error, ssl.SSLCertVerificationError):
        return _MISNAMED if error.verify_code in _MISNAMED_CODES else _UNTRUSTED
    if isinstance(error, ssl.SSLError):
        return _NO_CERTIFICATE if "CERTIFICATE_REQUIRED" in str(error) or "BAD_CERTIFICATE" in str(error) else _NO_TLS
    if isinstance(error, TimeoutError):
        return _LATE
    if isinstance(error, ConnectionRefusedError):
        return _UNSENT
    if isinstance(error, H2Error):
        return _FOREIGN_TONGUE
    return _AWAY


def failure(error: Exception, place: str) -> DatabaseError:
    """Our error for `error`, an exception of the client, met at the store at `place`."""
    found = meaning(error)
    return found.kind(f"{place}: {found.advice} ({error})", sqlstate=found.sqlstate)


FINAL = (LeaseGone, Behind)
"""What is no fault of the connection, and no better when the same call is sent again."""

FOREIGN = (OSError, H2Error, Refused, Broken)
"""What to catch around a call of the client."""

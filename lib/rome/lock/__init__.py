"""Locks over a store that several threads, processes or machines share, with fencing tokens.

    unattended  UnattendedLocks: named locks that nobody renews
    manager     LockManager: named locks, held under leases
    lease       Lease: one lock, held
    keeper      one thread that renews sessions before their time runs out
    waiting     asking again until a lock is had, or it takes too long
    names       what a named lock is called in the store

Each imports only those below it. docs/locks.md says what is promised.
"""

from __future__ import annotations

from rome.lock.lease import Lease
from rome.lock.manager import Holder, LockManager
from rome.lock.unattended import UnattendedLocks

__all__ = ["Holder", "Lease", "LockManager", "UnattendedLocks"]

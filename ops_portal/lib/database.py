"""PostgreSQL's clock, and locks that end with the process that holds them."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django.db.utils import Error

from ops_portal.lib.clock import Clock


def database_clock() -> Clock:
    """A clock anchored to the database's time now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        return Clock(anchor=cursor.fetchone()[0])


def connection_release() -> None:
    """Give the thread's connection back before waiting for somebody else; the next query takes another.

    Within a transaction it stays.
    """
    if not connection.in_atomic_block:
        connection.close()


@contextmanager
def session_lock(name: str, number: int) -> Iterator[bool]:
    """Try to lock (`name`, `number`) for the block; yields whether it worked.

    The lock belongs to the thread's database session: PostgreSQL frees it at once when the process or the connection ends.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s), %s)", [name, number])
        held: bool = cursor.fetchone()[0]
    try:
        yield held
    finally:
        if held:
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_advisory_unlock(hashtext(%s), %s)", [name, number])
            except Error:
                connection.close()  # the session is gone or unusable, and the lock with it

"""Many rows in one statement: COPY into a temporary table that the connection keeps, then one statement from there."""

from collections.abc import Iterable, Sequence
from typing import Any, LiteralString

from django.db import connection


def staged(name: LiteralString, columns: LiteralString, rows: Iterable[Sequence[Any]]) -> None:
    """Fill the temporary table `name` with rows; `columns` is its definition, `a bigint, b text`. Empty after the commit."""
    names = ", ".join(column.split()[0] for column in columns.split(", "))
    types = [" ".join(column.split()[1:]) for column in columns.split(", ")]
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS {name} ({columns}) ON COMMIT DELETE ROWS")
        cursor.execute(f"DELETE FROM {name}")  # noqa: S608  # a constant; a commit empties it; within one transaction nobody else does
        copied(name, names, types, rows)


def copied(table: str, names: str, types: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """COPY rows into a table, in PostgreSQL's binary form; `types` are those of the columns."""
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def ran(statement: LiteralString, params: Sequence[Any] | dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
    """Run one statement; its rows, if it has any."""
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else []

"""A view's rows over plain HTTP, to be continued on the socket from (epoch, seq)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis

from ops_portal.lib.live import publish, rows, store, views
from ops_portal.lib.live.views import ViewKey, Watcher


@dataclass(frozen=True, slots=True)
class ViewSnapshot:
    """What `GET /api/v1/views/{view}` answers. Rows are `[key, values...]` in column order.

    Without the live store `epoch` is empty and `seq` 0: the rows are right, but there is nothing to continue from.
    """

    view: str
    epoch: str
    seq: int
    ts: float | None
    key: str
    columns: tuple[str, ...]
    time: str | None
    rows: list[list[Any]]

    @property
    def etag(self) -> str | None:
        return f'"{self.epoch}:{self.seq}"' if self.epoch else None

    def as_json(self) -> dict[str, Any]:
        """The body: the fields of a `snap` frame."""
        schema = {"key": self.key, "columns": self.columns, "time": self.time}
        return {
            "view": self.view,
            "e": self.epoch,
            "s": self.seq,
            "ts": self.ts,
            "schema": schema,
            "rows": self.rows,
        }


def read_view(name: str, watcher: Watcher, params: Mapping[str, Any]) -> ViewSnapshot:
    """The view as this watcher may see it now, read from Postgres.

    Raises views.UnknownView, views.Forbidden, and ValueError for bad parameters.
    """
    key = views.authorise(name, watcher, params)
    try:
        watch([key])
        state = publish.refresh(key)
    except (redis.RedisError, publish.Contended):
        return _unpublished(key)
    wire = [[row_key, *rows.wire_row(row, key.view.time_index, state.ts)] for row_key, row in state.rows.items()]
    return _snapshot(key, state.epoch, state.seq, state.ts, wire)


def watch(keys: list[ViewKey]) -> None:
    """Tell publishers that somebody looks at these keys for the next 15 seconds. Raises redis.RedisError."""
    store.client().register_script(store.WATCH)(
        keys=[store.interest_name(key.view.name) for key in keys],
        args=[store.INTEREST_SECONDS, *(key.text for key in keys)],
    )


def _unpublished(key: ViewKey) -> ViewSnapshot:
    found = key.snapshot()
    stored, ts = rows.stored_rows(key.view, found), rows.source_time(found)
    return _snapshot(
        key,
        "",
        0,
        ts,
        [[name, *rows.wire_row(row, key.view.time_index, ts)] for name, row in stored.items()],
    )


def _snapshot(key: ViewKey, epoch: str, seq: int, ts: float | None, wire: list[list[Any]]) -> ViewSnapshot:
    view = key.view
    return ViewSnapshot(view.name, epoch, seq, ts, view.key, view.columns, view.time_column, wire)

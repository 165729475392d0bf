"""The registry of live views.

A view is a named query that an app registers once. Its *key* is the name, the canonical parameters and the scope: everybody
with the same key is shown the same bytes, encoded once and never filtered per socket. So whatever a watcher may see has to
be in the scope text.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

Params = Mapping[str, Any]
Row = Sequence[Any]

_MOST_COLUMNS = 53  # a changed-column mask must stay exact as a JavaScript number


class Forbidden(Exception):
    """The watcher may not see this view with these parameters."""


class UnknownView(LookupError):
    """No view of that name is registered."""


REFUSALS = (Forbidden, UnknownView, ValueError)  # what `authorise` raises when the answer is no


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who looks through a socket, as the hook of `ops_portal.lib.live.sessions.configure` says.

    `identity` is a hash of the session key or token (never the secret itself), `version` changes whenever what the user may
    see changes, `expires_at` is in seconds since the epoch (the database's clock). `claims` is the accounts app's own frozen
    object; only the views' `scope` functions look into it.
    """

    user_id: int
    identity: str
    version: str
    expires_at: float
    claims: Any = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All rows of a view at one moment: row key -> values in column order (JSON values only; order has no meaning).

    `source_at` is when the source was read, seconds since the epoch in the database's clock; None when it never was.
    """

    rows: Mapping[str, Row]
    source_at: float | None


@dataclass(frozen=True, slots=True)
class View:
    """One live view.

    - `parse_params(raw)`: canonical parameters (JSON values, defaults filled in, lists sorted); ValueError says what is wrong.
    - `scope(watcher, params)`: text that names what the watcher may see, e.g. `all` or `client:3,5`; raises Forbidden. May query.
    - `snapshot(scope, params)`: the rows as that scope sees them. Runs in threads of web and worker processes, reads Postgres.
    - `period_seconds(params)`: how often the source is read; None when news has no rhythm (then the view never gets stale by age).
    - `time_column`: optional column with the time a row was read. `snapshot` gives it as epoch seconds or None; it travels as
      ISO text, and a row whose time is the view's own source time costs nothing in a delta (see `rows.py`).
    """

    name: str
    columns: tuple[str, ...]
    parse_params: Callable[[Params], dict[str, Any]]
    scope: Callable[[Watcher, Params], str]
    snapshot: Callable[[str, Params], Snapshot]
    period_seconds: Callable[[Params], float | None]
    key: str = "id"
    time_column: str | None = None

    @property
    def time_index(self) -> int | None:
        return None if self.time_column is None else self.columns.index(self.time_column)


@dataclass(frozen=True, slots=True)
class ViewKey:
    """What is shared: a view with canonical parameters, as one scope sees it. `text` is its one spelling."""

    text: str
    view: View
    params: Params
    scope: str

    def snapshot(self) -> Snapshot:
        return self.view.snapshot(self.scope, self.params)

    def period_seconds(self) -> float | None:
        return self.view.period_seconds(self.params)


_views: dict[str, View] = {}


def register(view: View) -> View:
    """Make the view known. Call it from the app's `live.py`, imported in `apps.ready`."""
    if view.name in _views:
        raise ValueError(f"the live view {view.name} is registered twice")
    if len(view.columns) > _MOST_COLUMNS or len(set(view.columns)) != len(view.columns):
        raise ValueError(f"the live view {view.name} needs at most {_MOST_COLUMNS} distinct columns")
    if view.time_column is not None and view.time_column not in view.columns:
        raise ValueError(f"the live view {view.name} has no column {view.time_column}")
    _views[view.name] = view
    return view


def unregister(name: str) -> None:
    """Forget a view; for tests that register their own."""
    _views.pop(name, None)


def get(name: str) -> View:
    """The view of that name. Raises UnknownView."""
    try:
        return _views[name]
    except KeyError:
        raise UnknownView(name) from None


def names() -> list[str]:
    """Names of all registered views, sorted."""
    return sorted(_views)


def key_for(view: View, params: Params, scope: str) -> ViewKey:
    """The key of canonical parameters under a scope."""
    text = orjson.dumps([view.name, params, scope], option=orjson.OPT_SORT_KEYS).decode()
    return ViewKey(text, view, params, scope)


def parse_key(text: str) -> ViewKey:
    """The key behind its text. Raises UnknownView when this process does not know the view."""
    name, params, scope = orjson.loads(text)
    return ViewKey(text, get(name), params, scope)


def authorise(name: str, watcher: Watcher, raw_params: Params) -> ViewKey:
    """The key that this watcher may see. Raises UnknownView, ValueError (bad parameters) or Forbidden. May query."""
    view = get(name)
    if any("\0" in text for text in _texts(raw_params)):  # the database refuses to be asked, whenever the key is read
        raise ValueError("a parameter holds a character that no name can have")
    params = view.parse_params(raw_params)
    return key_for(view, params, view.scope(watcher, params))


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value, names of fields included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield name
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)

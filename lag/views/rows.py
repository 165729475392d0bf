"""All rows of a board for the page that shows more than are pushed."""

import gzip

import orjson
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from accounts.guards import requires
from accounts.policies import Person, scope_of
from accounts.roles import Right
from clusters.models import Cluster
from lag.board_columns import BOARD_COLUMNS, board_values
from lag.rows import BoardQuery
from lag.selectors.freshness import freshness_of
from lag.views.board import all_rows, cluster_or_404
from ops_portal.lib.clock import as_datetime, iso

KEPT_SECONDS = 60


@require_safe
@requires(Right.SEE_LAG)
def group_rows(request: HttpRequest, cluster: str) -> HttpResponse:
    """{at, columns, keys: [id], rows: [[values]]} of all groups the user may see, in the columns of the live view `lag.board`.

    Made once per reading and scope, however many pages ask. 204 when the page has this reading already (`have` = its `at`).
    """
    found = cluster_or_404(request.user, cluster)
    at = freshness_of([found.pk])[found.pk].observed_at
    stamp = (iso(at) if at else None) or ""
    if stamp and request.GET.get("have") == stamp:
        return HttpResponse(status=204)
    key = f"lag.rows:{found.pk}:{scope_of(request.user).key}:{stamp}"
    packed: bytes | None = cache.get(key)
    if packed is None:
        packed = _packed(request.user, found, stamp)
        cache.set(key, packed, KEPT_SECONDS)
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        response = HttpResponse(packed, content_type="application/json", headers={"Content-Encoding": "gzip"})
    else:
        response = HttpResponse(gzip.decompress(packed), content_type="application/json")
    response["Vary"] = "Accept-Encoding, Cookie"
    response["Cache-Control"] = "private, no-store"
    return response


def _packed(user: Person, cluster: Cluster, stamp: str) -> bytes:
    at = BOARD_COLUMNS.index("observed_at")
    keys, rows = [], []
    for item in all_rows(user, cluster, BoardQuery(limit=500)):
        values = board_values(item)
        values[at] = None if values[at] is None else iso(as_datetime(values[at]))
        keys.append(str(item.id))
        rows.append(values)
    return gzip.compress(orjson.dumps({"at": stamp, "columns": BOARD_COLUMNS, "keys": keys, "rows": rows}), 5, mtime=0)

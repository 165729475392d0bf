"""Who may reach which route, by interfaces.md 8: written by hand, so that it does not repeat what the code believes.

Every route of the URLconf stands here; a test fails for one that does not. `own`, `foreign` and `absent` are arguments that
lead to an object of the first client, to one that the first client may not see, and to none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.api.site import FOREIGN_ID, Site

Args = Callable[[Site], dict[str, Any]]

OPERATIONS = frozenset({"sre", "oncall", "lead", "admin"})
ANYBODY_IN = OPERATIONS | {"account-manager", "client"}
CLIENT_PEOPLE = OPERATIONS | {"account-manager"}
ADMIN = frozenset({"admin"})
SETTERS = frozenset({"sre", "admin"})
PUBLIC = ANYBODY_IN | {"anonymous"}


@dataclass(frozen=True, slots=True)
class Route:
    """`roles` may reach it. `post` = it answers POST only. `status` = what it answers to those, where it is no usual one."""

    roles: frozenset[str]
    own: Args | None = None
    foreign: Args | None = None
    absent: Args | None = None
    post: bool = False
    status: frozenset[int] = frozenset({200, 302, 422})
    queries: tuple[str, ...] = ("",)


def _args(**values: Any) -> Args:
    return lambda site: values


def _group(name: str) -> Args:
    return lambda site: {"cluster": "north", "group": name}


def _group_id(name: str) -> Args:
    return lambda site: {"cluster": "north", "group": f"~{site.group(name).pk}"}


def group_route(roles: frozenset[str], **more: Any) -> Route:
    return Route(roles, _group("ng-solo"), _group("southbank-solo"), _group("there-is-none"), **more)


_NORTH, _NOWHERE = _args(cluster="north"), _args(cluster="nowhere")
_BOARD = ("", "q=solo", "q=compl", "client=Southbank+Trading", "sort=client", "sort=-lag_records", "state=stable")
_USER: Args = lambda site: {"pk": site.users["sre"].pk}  # noqa: E731
_NO_PK = _args(pk=2**40)
_LOAD_TEST: Args = lambda site: {"pk": site.load_test().pk}  # noqa: E731
_CLIENT: Args = lambda site: {"pk": site.own.pk}  # noqa: E731
_OTHER_CLIENT: Args = lambda site: {"pk": site.other.pk}  # noqa: E731

ROUTES: dict[str, Route] = {
    "healthz": Route(PUBLIC),
    "readyz": Route(PUBLIC),
    "metrics": Route(PUBLIC, status=frozenset({401})),
    "home": Route(ANYBODY_IN),
    "search": Route(ANYBODY_IN, queries=("q=solo", "q=south", "q=compl", "q=orders", "q=n", "q=88")),
    "docs": Route(ANYBODY_IN),
    "docs-page": Route(ANYBODY_IN, absent=_args(name="nothing")),
    "docs-picture": Route(ANYBODY_IN, absent=_args(name="nothing.png")),
    "patterns": Route(ANYBODY_IN),
    "api-docs": Route(ANYBODY_IN),
    # accounts
    "accounts:sign-in": Route(PUBLIC),
    "accounts:link-sign-in": Route(PUBLIC, own=_args(text="made-up"), status=frozenset({410})),
    "accounts:sign-out": Route(PUBLIC, post=True),
    "accounts:sign-out-everywhere": Route(ANYBODY_IN, post=True),
    "accounts:session-touch": Route(ANYBODY_IN, post=True),
    "accounts:profile": Route(ANYBODY_IN),
    "accounts:preferences-change": Route(ANYBODY_IN, post=True),
    "accounts:theme-change": Route(ANYBODY_IN, post=True),
    "accounts:password-change": Route(ANYBODY_IN),
    "accounts:own-token-create": Route(ANYBODY_IN, post=True),
    "accounts:own-token-revoke": Route(
        ANYBODY_IN,
        absent=_NO_PK,
        foreign=lambda site: {"pk": site.other_viewer.tokens.earliest("pk").pk},
        post=True,
    ),
    "accounts:admin-home": Route(ADMIN),
    "accounts:user-list": Route(ADMIN),
    "accounts:user-add": Route(ADMIN),
    "accounts:user-detail": Route(ADMIN, _USER, absent=_NO_PK),
    "accounts:user-role": Route(ADMIN, _USER, absent=_NO_PK, post=True),
    "accounts:user-clients": Route(ADMIN, _USER, absent=_NO_PK, post=True),
    "accounts:user-person": Route(ADMIN, _USER, absent=_NO_PK, post=True),
    "accounts:user-disable": Route(ADMIN, _USER, absent=_NO_PK, post=True),
    "accounts:user-enable": Route(ADMIN, _USER, absent=_NO_PK, post=True),
    "accounts:user-sign-out": Route(ADMIN, _USER, absent=_NO_PK, post=True),
    "accounts:user-link": Route(ADMIN, _USER, absent=_NO_PK, post=True),
    "accounts:client-list": Route(ADMIN),
    "accounts:client-add": Route(ADMIN),
    "accounts:client-detail": Route(ADMIN, _CLIENT, absent=_NO_PK),
    "accounts:client-change": Route(ADMIN, _CLIENT, absent=_NO_PK, post=True),
    "accounts:client-remove": Route(ADMIN, _CLIENT, absent=_NO_PK, post=True),
    "accounts:client-ownership-add": Route(ADMIN, _CLIENT, absent=_NO_PK, post=True),
    "accounts:client-ownership-remove": Route(
        ADMIN,
        lambda site: {"pk": site.own.pk, "ownership_pk": site.own.ownerships.earliest("pk").pk},
        absent=lambda site: {"pk": site.own.pk, "ownership_pk": site.other.ownerships.earliest("pk").pk},
        post=True,
    ),
    "accounts:token-list": Route(ADMIN),
    "accounts:token-revoke": Route(
        ADMIN, lambda site: {"pk": site.other_viewer.tokens.earliest("pk").pk}, absent=_NO_PK, post=True
    ),
    "accounts:audit-list": Route(ADMIN),
    # clusters
    "clusters:sources": Route(OPERATIONS),
    "clusters:source-detail": Route(
        OPERATIONS, _args(cluster="north", kind="lag"), absent=_args(cluster="north", kind="nothing")
    ),
    "clusters:findings": Route(OPERATIONS),
    "clusters:health": Route(OPERATIONS),
    "clusters:health-detail": Route(OPERATIONS, _NORTH, absent=_NOWHERE),
    "clusters:health-figure": Route(
        OPERATIONS,
        _args(cluster="north", signal="offline_partitions"),
        absent=_args(cluster="north", signal="nothing"),
        queries=("", "range=24h", "range=none"),
    ),
    "clusters:targets": Route(OPERATIONS),
    "clusters:certificates": Route(ANYBODY_IN, queries=("", "cluster=north", "cluster=nowhere")),
    "clusters:certificate-detail": Route(ANYBODY_IN, absent=_args(cluster="north", pk=2**40)),
    "clusters:certificate-change": Route(SETTERS, absent=_args(cluster="north", pk=2**40), post=True),
    "clusters:certificate-manage": Route(SETTERS, _NORTH, absent=_NOWHERE),
    "clusters:certificate-upload": Route(SETTERS, _NORTH, absent=_NOWHERE, post=True),
    "clusters:certificate-endpoint-add": Route(SETTERS, _NORTH, absent=_NOWHERE, post=True),
    "clusters:certificate-by-hand": Route(SETTERS, _NORTH, absent=_NOWHERE, post=True),
    "clusters:certificate-key-enter": Route(SETTERS, _NORTH, absent=_NOWHERE, post=True),
    "clusters:certificate-policy": Route(SETTERS, _NORTH, absent=_NOWHERE, post=True),
    "clusters:certificate-rotations": Route(OPERATIONS, _NORTH, absent=_NOWHERE),
    "clusters:certificate-entry-remove": Route(
        SETTERS, absent=_args(cluster="north", what="file", pk=2**40), post=True
    ),
    "clusters:listener-probe": Route(OPERATIONS, absent=_args(cluster="north", pk=2**40), post=True),
    "clusters:rejections": Route(ANYBODY_IN, queries=("", "q=south", "client=Southbank+Trading", "period=7d")),
    "clusters:rejections-csv": Route(ANYBODY_IN, queries=("", "client=Southbank+Trading")),
    "clusters:rejection-detail": Route(
        ANYBODY_IN,
        lambda site: {"pk": site.refusal("ng-").pk},
        lambda site: {"pk": site.refusal("southbank-").pk},
        _NO_PK,
    ),
    "clusters:schemas": Route(ANYBODY_IN, queries=("", "q=south", "client=Southbank+Trading")),
    "clusters:schema-detail": Route(
        ANYBODY_IN,
        lambda site: {"pk": site.subject("ng-").pk},
        lambda site: {"pk": site.subject("southbank-").pk},
        _NO_PK,
    ),
    "clusters:load-tests": Route(OPERATIONS, queries=("", "q=south")),
    "clusters:load-test-import": Route(SETTERS),
    "clusters:load-test-compare": Route(OPERATIONS, queries=("", "id=1&id=2", "id=x")),
    "clusters:load-test-compare-figures": Route(OPERATIONS, queries=("id=1&id=2",)),
    "clusters:load-test-detail": Route(OPERATIONS, _LOAD_TEST, absent=_NO_PK),
    "clusters:load-test-progress": Route(OPERATIONS, _LOAD_TEST, absent=_NO_PK, status=frozenset({200, 204})),
    "clusters:load-test-figures": Route(OPERATIONS, _LOAD_TEST, absent=_NO_PK),
    "clusters:load-test-cancel": Route(SETTERS, _LOAD_TEST, absent=_NO_PK, post=True),
    "clusters:load-test-remove": Route(SETTERS, _LOAD_TEST, absent=_NO_PK, post=True),
    "clusters:cluster-list": Route(ADMIN),
    "clusters:cluster-add": Route(ADMIN),
    "clusters:cluster-detail": Route(ADMIN, _NORTH, absent=_NOWHERE),
    "clusters:cluster-remove": Route(ADMIN, _NORTH, absent=_NOWHERE, post=True),
    "clusters:cluster-source": Route(
        ADMIN, _args(cluster="north", kind="lag"), absent=_args(cluster="north", kind="nothing"), post=True
    ),
    # lag
    "lag:board": Route(ANYBODY_IN),
    "lag:group-board": Route(
        ANYBODY_IN, _NORTH, absent=_NOWHERE, queries=("", "q=solo", "sort=client", "state=stable")
    ),
    "lag:group-board-csv": Route(ANYBODY_IN, _NORTH, absent=_NOWHERE, queries=_BOARD),
    "lag:group-board-json": Route(ANYBODY_IN, _NORTH, absent=_NOWHERE, queries=_BOARD),
    "lag:group-rows": Route(ANYBODY_IN, _NORTH, absent=_NOWHERE, queries=("", "have=x")),
    "lag:events": Route(
        ANYBODY_IN, queries=("", "q=solo", "kind=verdict_changed&range=7d", "client=Southbank+Trading", "cluster=north")
    ),
    "lag:group-sparklines": Route(
        ANYBODY_IN,
        _NORTH,
        absent=_NOWHERE,
        queries=("&".join(f"id={pk}" for pk in range(FOREIGN_ID + 99, FOREIGN_ID + 110)),),
    ),
    "lag:cluster-spark": Route(ANYBODY_IN, _NORTH, absent=_NOWHERE),
    "lag:history-status": Route(OPERATIONS),
    "lag:group-detail": group_route(ANYBODY_IN),
    "lag:group-history": group_route(ANYBODY_IN),
    "lag:group-crash": group_route(ANYBODY_IN),
    "lag:group-settings": group_route(SETTERS),
    "lag:group-mute": group_route(SETTERS, post=True),
    "lag:topics": Route(ANYBODY_IN, queries=("", "q=orders", "cluster=north")),
    "lag:topic-detail": Route(
        ANYBODY_IN,
        _args(cluster="north", topic="ng-orders"),
        _args(cluster="north", topic="southbank-orders"),
        _args(cluster="north", topic="none"),
    ),
    "lag:slos": Route(ANYBODY_IN),
    "lag:slo-add": Route(SETTERS),
    "lag:slo-change": Route(SETTERS, _args(pk=FOREIGN_ID + 2), absent=_NO_PK),
    "lag:slo-remove": Route(SETTERS, _args(pk=FOREIGN_ID + 2), absent=_NO_PK, post=True),
    "lag:clients": Route(CLIENT_PEOPLE),
    "lag:client-detail": Route(CLIENT_PEOPLE, _CLIENT, _OTHER_CLIENT, _NO_PK),
    "lag:client-notes": Route(frozenset({"account-manager", "admin"}), _CLIENT, _OTHER_CLIENT, _NO_PK, post=True),
    # api
    "api:openapi": Route(ANYBODY_IN),
    "api:api-root": Route(frozenset()),
    "api:view_snapshot": Route(
        ANYBODY_IN,
        _args(view="lag.board"),
        absent=_args(view="nothing"),
        queries=tuple(f"cluster=north&{query}" for query in _BOARD),
    ),
    "api:clusters": Route(ANYBODY_IN),
    "api:groups": Route(ANYBODY_IN, _NORTH, absent=_NOWHERE, queries=_BOARD),
    "api:group": group_route(ANYBODY_IN),
    "api:history": group_route(ANYBODY_IN, queries=("from=-10m", "from=-10m&topic=shared")),
    "api:events": group_route(ANYBODY_IN),
    "api:topics": Route(ANYBODY_IN, _NORTH, absent=_NOWHERE, queries=("", "q=orders", "client=Southbank+Trading")),
    "api:slos": Route(ANYBODY_IN, queries=("", "client=Southbank+Trading")),
    "api:sources": Route(OPERATIONS),
    "api:findings": Route(OPERATIONS),
    "api:cluster_health": Route(OPERATIONS, _NORTH, absent=_NOWHERE, queries=("", "state=ok", "state=none")),
    "api:signal_history": Route(
        OPERATIONS,
        _args(cluster="north", signal="brokers_down"),
        absent=_args(cluster="north", signal="none"),
        queries=("", "from=-10m", "from=now&to=-1h"),
    ),
    "api:brokers": Route(OPERATIONS, _NORTH, absent=_NOWHERE),
    "api:topic": Route(
        OPERATIONS, _args(cluster="north", topic="ng-orders"), absent=_args(cluster="north", topic="none")
    ),
    "api:cluster_events": Route(OPERATIONS, _NORTH, absent=_NOWHERE, queries=("", "kind=broker_down")),
    "api:platform_slos": Route(OPERATIONS, _NORTH, absent=_NOWHERE),
    "api:certificate_list": Route(
        ANYBODY_IN, _NORTH, absent=_NOWHERE, queries=("", "q=south", "sort=-band", "kind=client")
    ),
    "api:certificate_calendar": Route(ANYBODY_IN),
    "api:certificate_table": Route(ANYBODY_IN),
    "api:rotation_list": Route(OPERATIONS, _NORTH, absent=_NOWHERE),
    "api:key_list": Route(ANYBODY_IN, _NORTH, absent=_NOWHERE),
    "api:key_enter": Route(SETTERS, _NORTH, absent=_NOWHERE, post=True, status=frozenset({400})),
    "api:load_test_list": Route(OPERATIONS, queries=("", "q=south", "cluster=north", "status=done")),
    "api:load_test_post": Route(SETTERS, post=True),
    "api:load_test_one": Route(
        OPERATIONS, lambda site: {"load_test": site.load_test().pk}, absent=_args(load_test=2**40)
    ),
    "api:rejections": Route(ANYBODY_IN, queries=("", "q=south", "q=1", "client=Southbank+Trading", "sort=client")),
    "api:schemas": Route(ANYBODY_IN, queries=("", "q=south", "cluster=north")),
    "api:schema_check": Route(
        ANYBODY_IN,
        _args(subject="ng-orders-value"),
        _args(subject="southbank-orders-value"),
        post=True,
        status=frozenset({400}),
    ),
    "api:ingest_authorizer_log": Route(SETTERS, post=True),
    "api:ingest_rejections": Route(SETTERS, post=True, status=frozenset({400})),
    "api:token_refresh": Route(ANYBODY_IN, post=True, status=frozenset({200, 400})),
    "api:clients": Route(CLIENT_PEOPLE, queries=("", "q=south")),
}

# Live views: name -> roles, and parameters for an own and for a foreign object (None = the view has no object).
VIEWS: dict[str, tuple[frozenset[str], dict[str, Any], dict[str, Any] | None]] = {
    "lag.board": (ANYBODY_IN, {"cluster": "north"}, None),
    "lag.group": (
        ANYBODY_IN,
        {"cluster": "north", "group": "ng-solo"},
        {"cluster": "north", "group": "southbank-solo"},
    ),
    "ops.sources": (OPERATIONS, {}, None),
    "clusters.health": (OPERATIONS, {"cluster": "north"}, None),
    "clusters.certificates": (ANYBODY_IN, {"cluster": "north"}, None),
    "clusters.rejections": (ANYBODY_IN, {"cluster": "north"}, None),
}

"""What is served equals interfaces.md: every key, type, null, word and code, on a portal in use."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import jsonschema  # type: ignore[import-untyped]  # comes with openapi-spec-validator, without types
import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Client as Firm
from accounts.services import token_create
from clusters.models import Cluster, LoadTest, Rotation, ServiceKey, Source, TopicHealth
from lag.models import ConsumerGroup
from lag.verdicts import Verdict
from ops_portal.lib.problems import STATUS_OF
from tests.api import contract
from tests.api.site import AWKWARD, Site

pytestmark = pytest.mark.django_db
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def problems(value: Any, kind: Any, place: str = "") -> Iterator[str]:
    """Everything in which a value differs from a type of the contract."""
    if isinstance(kind, contract.Null):
        if value is not None:
            yield from problems(value, kind.kind, place)
    elif isinstance(kind, dict):
        if not isinstance(value, dict):
            yield f"{place} is no object"
        elif set(value) != set(kind):
            yield f"{place} lacks {set(kind) - set(value)} and has {set(value) - set(kind)} on top"
        else:
            for name, inner in kind.items():
                yield from problems(value[name], inner, f"{place}.{name}")
    elif isinstance(kind, list):
        for index, item in enumerate(value):
            yield from problems(item, kind[0], f"{place}[{index}]")
    elif isinstance(kind, set):
        if value not in kind:
            yield f"{place} is {value!r}, not one of {sorted(kind)}"
    elif kind == "time":
        if not isinstance(value, str) or not TIME.fullmatch(value):
            yield f"{place} is {value!r}, no time with milliseconds and Z"
    elif kind is float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield f"{place} is {value!r}, no number"
    elif kind is int and isinstance(value, bool):
        yield f"{place} is {value!r}, no integer"
    elif kind != "any" and not isinstance(value, kind):
        yield f"{place} is {value!r}, not {kind.__name__}"


@pytest.mark.parametrize(("path", "fields"), contract.LISTS.items())
def test_a_list_has_its_envelope_and_its_items_their_fields(path: str, fields: dict[str, Any] | None, get: Any) -> None:
    body = get(path)

    assert list(body) == ["items", "next_cursor", "total"]
    assert body["items"], f"{path} shows nothing on a portal in use"
    assert body["total"] == len(body["items"])
    if fields is not None:
        assert not list(problems(body["items"], [fields], path))


def test_a_group_has_topics_partitions_and_members(get: Any) -> None:
    body = get("/api/v1/clusters/north/groups/ng-audit")

    assert not list(problems(body, contract.GROUP, "group"))
    assert [topic["topic"] for topic in body["topics"]] == ["shared"]
    assert [partition["partition"] for partition in body["topics"][0]["partitions"]] == [0, 1]
    assert body["member_list"]
    assert body["lag_records"] == sum(p["lag_records"] for p in body["topics"][0]["partitions"]) == 2


@pytest.mark.parametrize("name", ["ng-reconciling", "ng-share", "ng-solo", AWKWARD])
def test_groups_of_every_kind_keep_the_form(name: str, site: Site, get: Any) -> None:
    group = ConsumerGroup.objects.get(name=name)

    body = get(f"/api/v1/clusters/north/groups/~{group.pk}")

    assert not list(problems(body, contract.GROUP, "group"))
    assert body["group"] == name


def test_a_group_without_numbers_has_null_and_never_zero(get: Any) -> None:
    body = get("/api/v1/clusters/north/groups/ng-share")

    assert body["type"] == "unmeasured"
    assert body["flags"] == ["not_measured"]
    numbers = [
        name for name, kind in contract.SUMMARY.items() if isinstance(kind, contract.Null) and kind.kind in (int, float)
    ]
    assert {name: body[name] for name in numbers if name != "age_seconds"} == dict.fromkeys(
        name for name in numbers if name != "age_seconds"
    )


def test_history_has_columns_and_points(get: Any) -> None:
    body = get("/api/v1/clusters/north/groups/ng-audit/history?from=-10m&to=now&step=5")

    assert list(body) == ["step_seconds", "columns", "points"]
    assert body["columns"] == contract.HISTORY_COLUMNS
    assert 1 <= len(body["points"]) <= 1000
    for point in body["points"]:
        assert len(point) == len(contract.HISTORY_COLUMNS)
        assert TIME.fullmatch(point[0])


@pytest.mark.parametrize("span", ["from=-2w", "from=-1s", "from=2026-01-01T00:00:00Z&to=2026-12-31", "from=-6h&step=1"])
def test_history_never_has_more_than_a_thousand_points(span: str, get: Any) -> None:
    assert 1 <= len(get(f"/api/v1/clusters/north/groups/ng-audit/history?{span}")["points"]) <= 1000


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=yesterday", "from"),
        ("from=-6x", "from"),
        ("from=9999-12-31T23:59:59Z", "from"),
        ("from=0001-01-01", "from"),
        ("from=-999999w", "from"),
        ("from=now&to=-1h", "from"),
        ("to=tomorrow", "to"),
        ("step=0", "step"),
        ("step=nan", "step"),
        ("step=inf", "step"),
        ("step=abc", "step"),
        ("partition=-1&topic=shared", "partition"),
        ("partition=1", "from"),
        ("partition=99999999999999999999&topic=shared", "partition"),
    ],
)
def test_history_says_which_value_is_wrong(query: str, field: str, get: Any) -> None:
    body = get(f"/api/v1/clusters/north/groups/ng-audit/history?{query}", status=422)
    assert list(body["fields"]) == [field]


@pytest.mark.parametrize("field", contract.BOARD_SORTS)
@pytest.mark.parametrize("sign", ["", "-"])
def test_the_board_sorts_by_every_field_and_pages_through(sign: str, field: str, get: Any) -> None:
    path = f"/api/v1/clusters/north/groups?sort={sign}{field}"
    whole = [item["group"] for item in get(f"{path}&limit=500")["items"]]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        body = get(f"{path}&limit=3&cursor={quote(cursor)}")
        seen += [item["group"] for item in body["items"]]
        cursor = body["next_cursor"]

    assert seen == whole
    key = field if field != "severity" else None
    if key:
        found = [item[key] for item in get(f"{path}&limit=500")["items"]]
        assert None not in found[: len(found) - found.count(None)], "nulls come last"


def test_the_board_is_worst_first(get: Any) -> None:
    order = [verdict.value for verdict in Verdict]
    ranks = [order.index(item["verdict"]) for item in get("/api/v1/clusters/north/groups")["items"]]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("q=RISK", {"ng-risk", "southbank-risk"}),
        ("q=%25", {AWKWARD}),
        ("q=_", set()),
        ("client=Northgate+Capital&q=solo", {"ng-solo"}),
        ("client=Northgate+Capital&client=Southbank+Trading&q=solo", {"ng-solo", "southbank-solo"}),
        ("client=Nobody", set()),
        ("verdict=&client=&state=&q=audit&sort=&limit=&cursor=", {"ng-audit"}),
        ("state=empty&q=southbank", {"southbank-solo"}),
        ("state=empty&state=stable&q=southbank", {"southbank-solo", "southbank-risk"}),
    ],
)
def test_the_board_filters(query: str, names: set[str], get: Any) -> None:
    body = get(f"/api/v1/clusters/north/groups?{query}")
    assert {item["group"] for item in body["items"]} == names
    assert body["total"] == len(names)


@pytest.mark.parametrize(
    ("query", "field"),
    [("verdict=fine", "verdict"), ("state=gone", "state"), ("sort=password", "sort"), ("limit=-1", "limit")],
)
def test_the_board_refuses_unknown_words(query: str, field: str, get: Any) -> None:
    assert list(get(f"/api/v1/clusters/north/groups?{query}", status=422)["fields"]) == [field]


def test_names_are_reached_as_they_are_or_by_id(site: Site, get: Any) -> None:
    """A name with a slash is reached by id only; every other character travels percent-encoded."""
    awkward = ConsumerGroup.objects.get(name=AWKWARD)
    plain = "ng-" + "".join(chr(code) for code in range(32, 127) if chr(code) not in "/\\")
    ConsumerGroup.objects.filter(name="ng-risk").update(name=plain)

    assert get(f"/api/v1/clusters/north/groups/{quote(plain, safe='')}")["group"] == plain
    assert get(f"/api/v1/clusters/north/groups/~{awkward.pk}")["group"] == AWKWARD
    get("/api/v1/clusters/north/groups/~99999999999999999999", status=404)
    get("/api/v1/clusters/north/groups/~abc", status=404)
    get("/api/v1/clusters/north/groups/~", status=404)
    get("/api/v1/clusters/north/groups/a%00b", status=404)


def test_a_name_of_249_characters_is_a_name(site: Site, get: Any) -> None:
    name = "n" * 249
    ConsumerGroup.objects.filter(name="ng-risk").update(name=name)
    assert get(f"/api/v1/clusters/north/groups/{name}")["group"] == name


def test_a_shared_topic_hides_what_is_not_the_clients_own(get: Any) -> None:
    body = get("/api/v1/clusters/north/groups/ng-audit", "client")

    assert not list(problems(body, contract.GROUP, "group"))
    assert body["produce_rate"] is None
    assert "shared_topic" in body["flags"]
    for partition in body["topics"][0]["partitions"]:
        assert (partition["start"], partition["end"], partition["high_watermark"]) == (None, None, None)
        assert "shared_topic" in partition["flags"]
        assert partition["committed"] == 19
        assert partition["lag_records"] == 1


def test_a_client_sees_no_brokers(get: Any) -> None:
    assert [item["brokers"] for item in get("/api/v1/clusters")["items"]] == [1]
    assert [item["brokers"] for item in get("/api/v1/clusters", "client")["items"]] == [None]


def test_a_source_that_fails_tells_its_error_and_keeps_its_form(site: Site, get: Any) -> None:
    Source.objects.update(
        last_error="no broker answered",
        last_error_code="timeout",
        breaker_state="open",
        entity_errors=[
            {"entity": "group:x", "code": "timeout", "message": "late", "since": "2026-11-22T10:00:00.000Z"}
        ],
    )
    items = get("/api/v1/sources")["items"]

    assert not list(problems(items, [contract.SOURCE], "source"))
    assert items[0]["error"] == "no broker answered"
    assert items[0]["breaker"] == "open"


def test_a_topic_is_reached_by_name_or_id(get: Any) -> None:
    pk = next(item["id"] for item in get("/api/v1/clusters/north/topics")["items"] if item["topic"] == "ng-orders")

    assert get(f"/api/v1/clusters/north/topics/~{pk}") == get("/api/v1/clusters/north/topics/ng-orders")
    for wrong in ("~", "~abc", "~99999999999999999999", f"~{pk + 1_000_000}"):
        get(f"/api/v1/clusters/north/topics/{wrong}", status=404)


@pytest.mark.parametrize("role", ["client", "account-manager"])
@pytest.mark.parametrize("what", ["groups", "topics", "certificates", "keys"])
def test_a_cluster_without_anything_of_the_callers_is_as_good_as_absent(what: str, role: str, get: Any) -> None:
    Cluster.objects.create(name="elsewhere", bootstrap="broker-1.internal:9092")

    get(f"/api/v1/clusters/elsewhere/{what}")
    hidden = get(f"/api/v1/clusters/elsewhere/{what}", role, status=404)
    absent = get(f"/api/v1/clusters/nowhere/{what}", role, status=404)
    assert hidden | {"request_id": ""} == absent | {"request_id": ""}


def test_every_answer_fits_the_openapi_document(site: Site, get: Any) -> None:
    """The document describes; answers are built by hand. This holds both together."""
    document = get("/api/v1/openapi.json")
    concrete = {
        "/api/v1/clusters/{cluster}/groups/{group}": "/api/v1/clusters/north/groups/ng-audit",
        "/api/v1/clusters/{cluster}/groups/{group}/history": "/api/v1/clusters/north/groups/ng-audit/history?from=-5m",
        "/api/v1/clusters/{cluster}/groups/{group}/events": "/api/v1/clusters/north/groups/ng-solo/events",
        "/api/v1/views/{view}": "/api/v1/views/lag.board?cluster=north",
        "/api/v1/clusters/{cluster}/health/{signal}/history": "/api/v1/clusters/north/health/brokers_down/history",
        "/api/v1/clusters/{cluster}/topics/{topic}": "/api/v1/clusters/north/topics/measured",
        "/api/v1/load-tests/{load_test}": f"/api/v1/load-tests/{LoadTest.objects.earliest('pk').pk}",
    }
    TopicHealth.objects.create(
        cluster=Cluster.objects.get(name="north"), name="measured", partitions=1, layout=[[0, 1, [1], [1]]]
    )
    north = Cluster.objects.get(name="north")
    ServiceKey.objects.create(cluster=north, name="records", version="1", rotated_at=timezone.now())
    Rotation.objects.create(
        cluster=north, kind="broker", place="broker-1:9094", broker=1, subject="CN=broker-1", old_serial="0a",
        new_serial="0b", old_seen_at=timezone.now(), at=timezone.now(),
    )  # fmt: skip
    checked = 0
    for path, methods in document["paths"].items():
        answer = methods.get("get", {}).get("responses", {}).get("200", {}).get("content", {}).get("application/json")
        if not answer or not answer.get("schema"):
            continue
        body = get(concrete.get(path, path.replace("{cluster}", "north")))
        jsonschema.validate(body, answer["schema"] | {"components": document["components"]})
        assert body.get("items") != [], f"{path} shows nothing on a portal in use"
        checked += 1
    assert checked >= 21


@pytest.mark.parametrize(
    ("path", "sorts"),
    [
        ("/clusters", ("groups", "lag_seconds")),
        ("/clusters/north/topics", ("produce_rate", "lag_records")),
        ("/clusters/north/brokers", ("host", "leaders", "idle")),
        ("/clusters/north/certificates", ("not_after", "subject", "kind")),
        ("/clusters/north/keys", ("rotated_at", "due_at", "name", "client")),
        ("/clusters/north/rotations", ("at", "place", "broker")),
        ("/slos", ("name", "client", "attained")),
        ("/sources", ("kind", "age_seconds")),
        ("/findings", ("opened_at", "client", "closed_at")),
        ("/rejections", ("last_at", "count", "principal")),
        ("/schemas", ("subject", "version", "client")),
        ("/load-tests", ("name", "created_at", "started_at")),
        ("/clients", ("client", "created_at")),
    ],
)
def test_every_list_sorts_both_ways_with_nulls_last_and_searches(path: str, sorts: tuple[str, ...], get: Any) -> None:
    north = Cluster.objects.get(name="north")
    for number, client in enumerate((None, Firm.objects.get(name="Northgate Capital"))):
        ServiceKey.objects.create(cluster=north, name=f"key {number}", rotated_at=timezone.now(), client=client)
        Rotation.objects.create(
            cluster=north, kind="broker", place=f"broker-{number}:9094", broker=number or None,
            old_seen_at=timezone.now(), at=timezone.now(),
        )  # fmt: skip
    path = f"/api/v1{path}"
    for field in sorts:
        up, down = ([item[field] for item in get(f"{path}?sort={sign}{field}")["items"]] for sign in ("", "-"))
        known = [value for value in up if value is not None]
        assert known == sorted(known)
        assert up == known + [None] * (len(up) - len(known))
        assert down == known[::-1] + [None] * (len(up) - len(known))
        page = get(f"{path}?sort={field}&limit=1")
        if page["next_cursor"] is not None:
            get(f"{path}?sort=-{field}&limit=1&cursor={quote(page['next_cursor'])}", status=422)
    assert list(get(f"{path}?sort=password", status=422)["fields"]) == ["sort"]
    assert get(f"{path}?q=nothing-is-named-so")["total"] == 0


def test_a_load_test_that_was_read_to_its_end_reads_no_file(site: Site, get: Any) -> None:
    assert get("/api/v1/load-tests")["items"][0]["step"] is None
    LoadTest.objects.update(status="failed", error="cut off", step="traces.csv")
    assert get("/api/v1/load-tests")["items"][0]["step"] == "traces.csv"


def test_every_operation_names_the_failures_it_may_end_with(get: Any) -> None:
    for path, methods in get("/api/v1/openapi.json")["paths"].items():
        for method, found in methods.items():
            wanted = {"401", "403", "404", "422", "429", "500", "503"} | (
                {"400", "409", "413"} if method == "post" else set()
            )
            assert wanted <= set(found["responses"]), f"{method} {path}"


def test_the_codes_are_those_of_the_contract() -> None:
    assert STATUS_OF == contract.CODES


@pytest.mark.parametrize(("enum", "words"), contract.WORDS.items())
def test_the_words_are_those_of_the_contract(enum: Any, words: set[str]) -> None:
    assert {word.value for word in enum} == words


def test_not_found_looks_the_same_for_hidden_and_absent(site: Site) -> None:
    text = token_create(user=site.users["client"], acting_user=None)[1]
    caller = Client(headers={"Authorization": f"Bearer {text}"})
    hidden = ConsumerGroup.objects.get(name="southbank-solo")
    bodies = set()
    for path in (
        "/api/v1/clusters/north/groups/southbank-solo",
        f"/api/v1/clusters/north/groups/~{hidden.pk}",
        "/api/v1/clusters/north/groups/there-is-none",
        "/api/v1/clusters/north/groups/southbank-solo/events",
        "/api/v1/clusters/north/groups/southbank-solo/history",
        "/api/v1/clusters/nowhere/groups",
        "/api/v1/nothing",
        "/api/v1/views/lag.group?cluster=north&group=southbank-solo",
        "/api/v1/views/lag.group?cluster=north&group=there-is-none",
    ):
        answer = caller.get(path)
        assert answer.status_code == 404
        bodies.add(answer.content.replace(answer["X-Request-ID"].encode(), b"ID"))
    assert len(bodies) == 1

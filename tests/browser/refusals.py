"""What the browser tests' world refuses: denials, failed sign-ins, throttling, and a schema that is not compatible."""

import itertools

from accounts.models import Client, Ownership
from clusters.models import Cluster, Rejection, SchemaRegistry, SchemaSubject
from clusters.rejections.counters import ERRORS, counted, throttled
from clusters.rejections.types import Kind, Rejected
from clusters.services.rejection_counters import counters_store
from clusters.services.rejections import Part, Report, lines_ingest, rejections_ingest
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.database import database_clock
from tests.clusters.rejections.corpus import denied_line, stamp

ACCEPTED = '{"type": "record", "name": "Trade", "fields": [{"name": "id", "type": "string"}, {"name": "price", "type": "double"}]}'
OFFERED = '{"type": "record", "name": "Trade", "fields": [{"name": "id", "type": "string"}, {"name": "price", "type": "double"}, {"name": "venue", "type": "string"}]}'
SUBJECT = "northgate-trades-value"
_position = itertools.count()


def begin(cluster: Cluster) -> None:
    """Six hours of refusals of two clients and of nobody's."""
    for client in Client.objects.order_by("pk"):
        prefix = client.name.split()[0].lower()
        for kind, glob in (("principal", f"User:{prefix}-*"), ("topic", f"{prefix}-*")):
            Ownership.objects.get_or_create(client=client, kind=kind, glob=glob)
    now = database_clock().now()
    lines = [
        _denied(now - 60.0 * number, "northgate-feed", "Topic:LITERAL:northgate-trades") for number in range(0, 300, 7)
    ]
    lines += [_denied(now - 45.0 * number, "harbour-app", "Group:LITERAL:other") for number in range(90, 130)]
    lines += [
        _denied(
            now - 3000,
            "CN=unknown-program,OU=Somewhere,O=Long Name of a Firm",
            f"Topic:LITERAL:{'long-topic-name.' * 12}end",
        )
    ]
    lines += [
        f"[{stamp(now - 20.0 * number)}] INFO [SocketServer listenerType=BROKER, nodeId=1] Failed authentication with /10.4.5.6 "
        "(channelId=10.1.1.1:9094-10.4.5.6:53238-2-1) (SSL handshake failed) (org.apache.kafka.common.network.Selector)"
        for number in range(40, 70)
    ]
    lines_ingest(
        cluster=cluster,
        lines=[*lines, lines[0][:60]],
        part=Part("world", 0, 1000, "broker-1:/var/log/kafka/kafka-authorizer.log"),
    )
    _schemas(cluster, now)
    _metrics(cluster, now)


def more(cluster: Cluster) -> None:
    """One more denial of a principal that was never refused before."""
    lines_ingest(
        cluster=cluster,
        lines=[_denied(database_clock().now(), f"northgate-new-{next(_position)}", "Topic:LITERAL:northgate-trades")],
    )


def _denied(at: float, name: str, resource: str) -> str:
    return denied_line(at, principal=f"User:{name}", resource=resource)


def _schemas(cluster: Cluster, now: float) -> None:
    registry = SchemaRegistry.objects.create(
        cluster=cluster, url="http://127.0.0.1:8081/apis/ccompat/v7", compatibility="NONE", read_at=as_datetime(now)
    )
    for number, (name, mode) in enumerate(((SUBJECT, "BACKWARD"), ("harbour-orders-value", "NONE"))):
        SchemaSubject.objects.create(
            registry=registry, name=name, client=Client.objects.order_by("pk")[number], versions=[1, 2, 3], version=3,
            schema_id=17, schema_type="AVRO", schema=ACCEPTED, compatibility=mode, compatibility_own=mode != "NONE",
            read_at=as_datetime(now), changed_at=as_datetime(now - 86_400),
        )  # fmt: skip
    rejected = Rejected(Kind.SCHEMA, at=now - 400, subject=SUBJECT, host="10.7.7.7", operation="register",
                        rule="the registry answered 409: not compatible with what the subject holds", times=3)  # fmt: skip
    rejections_ingest(reports=[Report(cluster, rejected, OFFERED, "AVRO")])


def _metrics(cluster: Cluster, now: float) -> None:
    labels = {"error": "TOPIC_AUTHORIZATION_FAILED", "request": "Produce", "instance": "broker-1:7071"}
    slow = throttled([({"resource": "Produce", "user": "harbour-app"}, 140.0)])
    counters_store(cluster=cluster, found=[], throttled=[], at=now - 30)
    counters_store(cluster=cluster, found=counted(ERRORS, [(labels, 96.0)]), throttled=slow, at=now - 15)


def first_id(kind: str) -> int:
    """The id of a series of that kind, for an address."""
    return Rejection.objects.filter(kind=kind).order_by("pk").values_list("pk", flat=True)[0]

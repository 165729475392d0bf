"""Listeners are read off the brokers' settings, and those in clear are never among them."""

from clusters.listeners import KafkaListener, listeners_of
from clusters.ports import Broker

ONE, TWO = Broker(1, "kafka-1.example", 9092), Broker(2, "kafka-2.example", 9093)
MAP = "PLAINTEXT:PLAINTEXT,SECURE:SSL,CLIENTS:SASL_SSL,CONTROLLER:SSL,OPEN:SASL_PLAINTEXT"


def test_every_tls_listener_is_found_with_what_it_wants() -> None:
    settings = {
        "listeners": "PLAINTEXT://:9092,SECURE://0.0.0.0:9094,CLIENTS://:9095,CONTROLLER://:9096,OPEN://:9097",
        "advertised.listeners": "PLAINTEXT://kafka-1.example:9092,SECURE://kafka-1.example:9094,CLIENTS://public.example:19095",
        "listener.security.protocol.map": MAP,
        "listener.name.secure.ssl.client.auth": "required",
        "listener.name.secure.ssl.keystore.location": "/etc/kafka/one.pem",
        "ssl.client.auth": "none",
    }
    assert listeners_of([ONE], {"1": settings}, "PLAINTEXT") == [
        KafkaListener("kafka-1.example", 9094, 1, "SECURE", "required", "/etc/kafka/one.pem"),
        KafkaListener("public.example", 19095, 1, "CLIENTS", "none"),
        KafkaListener("kafka-1.example", 9096, 1, "CONTROLLER", "none"),
    ]


def test_a_listener_named_like_its_protocol_needs_no_map() -> None:
    found = listeners_of(
        [ONE], {"1": {"advertised.listeners": "SSL://a.example:9093,PLAINTEXT://a.example:9092"}}, "SSL"
    )
    assert [(one.host, one.port, one.name) for one in found] == [("a.example", 9093, "SSL")]


def test_ipv6_and_odd_entries() -> None:
    text = "SSL://[2001:db8::7]:9093,SSL2://b.example:0,nonsense,SSL3://c.example:99999999"
    found = listeners_of(
        [ONE], {"1": {"listeners": text, "listener.security.protocol.map": "SSL2:SSL,SSL3:SSL"}}, "SSL"
    )
    assert [(one.host, one.port) for one in found] == [("2001:db8::7", 9093)]


def test_without_settings_the_metadata_s_listener_counts_only_over_tls() -> None:
    assert listeners_of([TWO], {}, "PLAINTEXT") == []
    assert listeners_of([TWO], {}, "SASL_PLAINTEXT") == []
    assert [one.port for one in listeners_of([TWO], {}, "sasl_ssl")] == [9093]


def test_two_brokers_behind_one_address_are_one_listener() -> None:
    settings = {"advertised.listeners": "SSL://vip.example:9093"}
    assert len(listeners_of([ONE, TWO], {"1": settings, "2": settings}, "SSL")) == 1

"""Consumer groups with a member each, until SIGTERM: `python -m bench.members HOST:PORT GROUP=TOPIC,TOPIC ...`."""

import signal
import sys
import time

from confluent_kafka import Consumer

_SETTINGS = {
    "auto.offset.reset": "earliest",
    "session.timeout.ms": 45000,
    "heartbeat.interval.ms": 10000,
    "auto.commit.interval.ms": 1000,
    "fetch.wait.max.ms": 1000,
    "topic.metadata.refresh.interval.ms": -1,
    "enable.metrics.push": False,
}


def main() -> None:
    bootstrap, *wanted = sys.argv[1:]
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    consumers = []
    for text in wanted:
        group, _, topics = text.partition("=")
        consumer = Consumer({**_SETTINGS, "bootstrap.servers": bootstrap, "group.id": group, "client.id": f"{group}-1"})
        consumer.subscribe(topics.split(","))
        consumers.append(consumer)
    while not stop:
        for consumer in consumers:
            consumer.consume(500, 0)
        time.sleep(0.2)
    for consumer in consumers:
        consumer.close()


if __name__ == "__main__":
    main()

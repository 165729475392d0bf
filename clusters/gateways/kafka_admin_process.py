"""`clusters.admin_ports.AdminPort` through the cluster's child process, and plain TCP beside it."""

import socket
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor

from clusters.admin_ports import Acl, ClusterView, Configs
from clusters.gateways.kafka_process import IsolatedKafka
from ops_portal.lib.resilience import Deadline

TCP_SECONDS = 1.5


class IsolatedAdmin(IsolatedKafka):
    """`KafkaAdmin` through the cluster's child process."""

    def describe_cluster(self, deadline: Deadline) -> ClusterView:
        found: ClusterView = self._ask("describe_cluster", deadline)
        return found

    def broker_configs(self, ids: Collection[int], deadline: Deadline) -> Configs:
        found: Configs = self._ask("broker_configs", deadline, list(ids))
        return found

    def topic_configs(self, topics: Collection[str], deadline: Deadline) -> Configs:
        found: Configs = self._ask("topic_configs", deadline, list(topics))
        return found

    def acls(self, deadline: Deadline) -> tuple[Acl, ...]:
        found: tuple[Acl, ...] = self._ask("acls", deadline)
        return found

    def refusals(self, addresses: Collection[str], deadline: Deadline) -> Mapping[str, str]:
        return refusals(addresses, deadline)  # plain sockets: no reason to keep the child from its other calls

    def canary(self, topic: str, deadline: Deadline) -> float:
        found: float = self._ask("canary", deadline, topic)
        return found


def refusals(addresses: Collection[str], deadline: Deadline) -> Mapping[str, str]:
    """See `AdminPort`; all at once."""
    if not addresses:
        return {}
    seconds = min(TCP_SECONDS, deadline.remaining())
    with ThreadPoolExecutor(min(16, len(addresses)), thread_name_prefix="kafka-tcp") as pool:
        return dict(zip(addresses, pool.map(lambda address: _refusal(address, seconds), addresses), strict=True))


def _refusal(address: str, seconds: float) -> str:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=max(0.05, seconds)):
            return ""
    except TimeoutError:
        return f"{address} does not take the connection"
    except ConnectionRefusedError:
        return f"{address} refuses the connection"
    except (OSError, ValueError, OverflowError) as error:
        return f"{address} cannot be reached ({type(error).__name__})"

"""From a stored cluster to an open port on it."""

from clusters import secrets
from clusters.gateways.kafka_admin_process import IsolatedAdmin
from clusters.gateways.kafka_frames import Settings
from clusters.gateways.kafka_process import Place
from clusters.models import Cluster
from clusters.ports import GatewayFailed
from ops_portal.lib.clock import Clock


def kafka_port(cluster: Cluster, clock: Clock) -> IsolatedAdmin:
    """A port on the cluster for one run. Raises GatewayFailed(`configuration`) when its secrets do not open.

    Settings that the client refuses fail the first call, likewise with `configuration`.
    """
    settings = Settings(cluster.bootstrap, properties_of(cluster))
    return IsolatedAdmin(Place(cluster.pk, cluster.configuration_version, settings), clock)


def properties_of(cluster: Cluster) -> dict[str, str]:
    """The cluster's client properties with its secrets. Raises GatewayFailed(`configuration`) when those do not open."""
    try:
        hidden = secrets.unseal_all(cluster.secrets, table=Cluster._meta.db_table, pk=cluster.pk)
    except secrets.SecretUnreadable as error:
        raise GatewayFailed("configuration", f"The cluster's stored secrets cannot be read: {error}.") from error
    return {**cluster.properties, **hidden}

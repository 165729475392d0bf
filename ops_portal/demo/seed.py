"""What the portal is told about the demo: clients, users, the cluster, settings, promises, a mute. Safe to repeat."""

from datetime import timedelta
from pathlib import Path

from django.utils import timezone

from accounts.models import Client, User
from accounts.roles import Role
from accounts.selectors import client_named
from accounts.services import OwnershipSpec, client_add, demo_users_create
from clusters.models import Cluster, HealthSettings
from clusters.properties import Properties, check
from clusters.selectors import cluster_named
from clusters.services import Filters, cluster_add, cluster_change
from clusters.services.health_settings import health_settings_set
from lag.selectors.settings import setting_with_glob
from lag.selectors.slos import slos
from lag.services import group_mute, group_setting_set, slo_add
from ops_portal.demo.access import Doors
from ops_portal.demo.facts import Facts
from ops_portal.demo.principals import PORTAL
from ops_portal.demo.rest_tier import QUERIES
from ops_portal.demo.seed_security import seed_registry, seed_security
from ops_portal.demo.topology import CANARY, CLIENTS, CLUSTER, GROUPS, Habit

_MANAGED = ("northgate", "harbourline", "meridianvale")  # clients of the demo's account manager
_VIEWER = "northgate"  # client of the demo's client viewer
_MUTED_DAYS = 7


def seed(facts: Facts) -> dict[Role, User]:
    """Bring the portal's data to the demo's; what is there already stays. The demo users by role."""
    clients, users = seed_people()
    seed_registry(seed_platform(facts, clients, users), users[Role.SRE], facts)
    return users


def seed_people() -> tuple[dict[str, Client], dict[Role, User]]:
    """The made-up clients by key and the demo users by role: what needs no Kafka."""
    clients = {spec.key: _client(spec.key, spec.name) for spec in CLIENTS}
    found = demo_users_create(
        clients_by_role={
            Role.CLIENT.value: [clients[_VIEWER]],
            Role.ACCOUNT_MANAGER.value: [clients[key] for key in _MANAGED],
        }
    )
    return clients, {Role(user.role): user for user in found}


def seed_platform(facts: Facts, clients: dict[str, Client], users: dict[Role, User]) -> Cluster:
    """The cluster, from when on it is polled, and all that is told of it but its schema registry."""
    cluster = _cluster(users[Role.ADMIN], facts)
    _health(cluster, users[Role.SRE])
    _group_settings(cluster, users[Role.SRE])
    _promises(cluster, users[Role.SRE], clients)
    seed_security(cluster, users[Role.SRE], facts)
    return cluster


def _client(key: str, name: str) -> Client:
    found = client_named(name)
    if found is not None:
        return found
    specs = [
        OwnershipSpec("group", f"{key}-*", CLUSTER),
        OwnershipSpec("topic", f"{key}.*", CLUSTER),
        OwnershipSpec("key", f"{key}.*", CLUSTER),
        OwnershipSpec("principal", f"User:{key}*", CLUSTER),
    ]
    return client_add(name=name, specs=specs, notes="Made up for the demo.", acting_user=None)


def _cluster(admin: User, facts: Facts) -> Cluster:
    """The portal comes by the listener for clients with a certificate, as a principal with the documented rights."""
    doors = facts.doors
    bootstrap, properties = doors.secure, _properties(doors)
    found = cluster_named(admin, CLUSTER)
    if found is None:
        return cluster_add(
            name=CLUSTER,
            bootstrap=bootstrap,
            properties=properties,
            prometheus_url=facts.prometheus_url,
            controllers=facts.controllers,
            acting_user=None,
        )
    same = (
        bootstrap,
        facts.controllers,
        facts.prometheus_url,
        dict(properties.plain),
    )  # another key means another certificate, which is in here
    if (found.bootstrap, found.controllers, found.prometheus_url, found.properties) == same:
        return found
    return cluster_change(
        cluster=found,
        bootstrap=bootstrap,
        properties=properties,
        prometheus_url=facts.prometheus_url,
        controllers=facts.controllers,
        filters=Filters(),
        acting_user=None,
    )


def _properties(doors: Doors) -> Properties:
    own = {name: value for name, value in doors.of(PORTAL).items() if name != "bootstrap.servers"}
    return check(own, read_file=lambda path: Path(path).read_bytes())


def _health(cluster: Cluster, sre: User) -> None:
    """A canary, without which availability cannot be told, and the portal's own web tier as the REST tier."""
    if not HealthSettings.objects.filter(cluster=cluster).exists():
        health_settings_set(cluster=cluster, canary_topic=CANARY.name, rest_queries=list(QUERIES), acting_user=sre)


def _group_settings(cluster: Cluster, sre: User) -> None:
    for spec in GROUPS:
        if spec.hints and setting_with_glob(cluster, spec.name) is None:
            group_setting_set(
                cluster=cluster,
                glob=spec.name,
                read_committed=spec.hints.read_committed,
                commit_interval_seconds=spec.hints.commit_interval_seconds,
                target_seconds=spec.hints.target_seconds,
                acting_user=sre,
            )
        if spec.habit is Habit.STOPPED and setting_with_glob(cluster, spec.name) is None:
            until = timezone.now() + timedelta(days=_MUTED_DAYS)
            reason = "The archive moves to another store; its owner knows."
            group_mute(cluster=cluster, glob=spec.name, reason=reason, until=until, acting_user=sre)


def _promises(cluster: Cluster, sre: User, clients: dict[str, Client]) -> None:
    known = {row.name for row in slos(sre, cluster)}
    if "Risk engine is current" not in known:
        slo_add(
            cluster=cluster, name="Risk engine is current", glob="risk-engine", max_records=10_000, max_seconds=10.0,
            for_seconds=15.0, objective=0.999, severity="critical", acting_user=sre,
        )  # fmt: skip
    if "Compliance catches up" not in known:
        slo_add(
            cluster=cluster, name="Compliance catches up", glob="compliance-audit", max_records=150_000, max_seconds=60.0,
            for_seconds=30.0, objective=0.99, severity="warning", acting_user=sre,
        )  # fmt: skip
    for key in ("northgate", "harbourline"):
        name = f"{clients[key].name}: five minutes at most"
        if name not in known:
            slo_add(
                cluster=cluster, name=name, glob=f"{key}-*", client=clients[key], max_seconds=300.0,
                for_seconds=30.0, objective=0.995, severity="warning", acting_user=sre,
            )  # fmt: skip

"""Roles and what each may do, as data: one table that policies, pages, API and the isolation matrix read."""

from enum import StrEnum


class Role(StrEnum):
    """Roles of interfaces.md 8."""

    SRE = "sre"
    ONCALL = "oncall"
    ACCOUNT_MANAGER = "account-manager"
    CLIENT = "client"
    LEAD = "lead"
    ADMIN = "admin"

    @property
    def label(self) -> str:
        return _LABELS[self]

    @property
    def sees_all_clients(self) -> bool:
        """True for roles that see everything operational of all clients."""
        return self in {Role.SRE, Role.ONCALL, Role.LEAD, Role.ADMIN}


_LABELS = {
    Role.SRE: "SRE",
    Role.ONCALL: "On-call",
    Role.ACCOUNT_MANAGER: "Account manager",
    Role.CLIENT: "Client viewer",
    Role.LEAD: "Operations lead",
    Role.ADMIN: "Administrator",
}


class Right(StrEnum):
    """One thing a role may do; `accounts.policies` asks this table and nothing else."""

    SEE_LAG = "see_lag"  # groups, topics and events, scoped to the clients the user may see
    SEE_SOURCES = "see_sources"
    SEE_CLUSTERS = "see_clusters"  # brokers, bootstrap, cluster cards
    SEE_FINDINGS = "see_findings"
    SEE_CLIENTS = "see_clients"
    CHANGE_NOTES = "change_notes"  # of the clients that the user may see
    CHANGE_SLO = "change_slo"
    CHANGE_GROUP_SETTINGS = "change_group_settings"  # read_committed, commit interval, target, mute
    INGEST = "ingest"  # bring in log lines and reports of refusals, for the tokens of log shippers
    ADMINISTER = "administer"  # users, roles, clients, clusters, tokens
    SEE_AUDIT = "see_audit"
    USE_API = "use_api"


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.SRE: frozenset(
        {
            Right.SEE_LAG,
            Right.SEE_SOURCES,
            Right.SEE_CLUSTERS,
            Right.SEE_FINDINGS,
            Right.SEE_CLIENTS,
            Right.CHANGE_SLO,
            Right.CHANGE_GROUP_SETTINGS,
            Right.INGEST,
            Right.USE_API,
        }
    ),
    Role.ONCALL: frozenset(
        {Right.SEE_LAG, Right.SEE_SOURCES, Right.SEE_CLUSTERS, Right.SEE_FINDINGS, Right.SEE_CLIENTS, Right.USE_API}
    ),
    Role.LEAD: frozenset(
        {Right.SEE_LAG, Right.SEE_SOURCES, Right.SEE_CLUSTERS, Right.SEE_FINDINGS, Right.SEE_CLIENTS, Right.USE_API}
    ),
    Role.ACCOUNT_MANAGER: frozenset({Right.SEE_LAG, Right.SEE_CLIENTS, Right.CHANGE_NOTES, Right.USE_API}),
    Role.CLIENT: frozenset({Right.SEE_LAG, Right.USE_API}),
    Role.ADMIN: frozenset(Right),
}

"""Users, clients (tenants), what belongs to a client, tokens and the audit trail."""

import uuid
from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.crypto import salted_hmac

from accounts.roles import Role


class Client(models.Model):
    """A tenant: a firm that owns principals, consumer groups, topics or record keys."""

    name = models.CharField(max_length=120, unique=True)
    notes = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=~Q(name=""), name="accounts_client_named")]

    def __str__(self) -> str:
        return self.name


class User(AbstractUser):
    """A person with one role. Account managers and client viewers see the clients of their memberships only."""

    role = models.CharField(max_length=20, choices=[(role.value, role.label) for role in Role])
    clients: "models.ManyToManyField[Client, Membership]" = models.ManyToManyField(
        Client, through="accounts.Membership", related_name="users", blank=True
    )
    # Raised by every change that bears on what the user may see; open sockets compare it (notes: revocation).
    entitlement_version = models.PositiveIntegerField(default=1)
    # Part of the session hash: raising it ends every session of the user at its next request.
    session_generation = models.PositiveIntegerField(default=1)
    demo = models.BooleanField(default=False)  # may sign in only while the DEMO setting is on
    time_zone = models.CharField(max_length=64, default="UTC")
    theme = models.CharField(
        max_length=5, default="auto", choices=[("auto", "auto"), ("light", "light"), ("dark", "dark")]
    )

    REQUIRED_FIELDS: ClassVar[list[str]] = ["role"]

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(role__in=[role.value for role in Role]), name="accounts_user_role_known")
        ]

    def __str__(self) -> str:
        return self.username

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """Bind sessions to the password and to `session_generation` (Django's own hook for the current and old keys)."""
        value = f"{self.password}|{self.session_generation}"
        return salted_hmac("accounts.models.User.session", value, secret=secret, algorithm="sha256").hexdigest()


class Membership(models.Model):
    """This user may see this client."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="memberships")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "client"], name="accounts_membership_once_per_user_client")
        ]

    def __str__(self) -> str:
        return f"{self.user_id} sees {self.client_id}"


class Ownership(models.Model):
    """A case-sensitive glob that says which objects of one kind belong to a client, on one cluster or on all."""

    class Kind(models.TextChoices):
        GROUP = "group"
        TOPIC = "topic"
        PRINCIPAL = "principal"
        KEY = "key"

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="ownerships")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    glob = models.CharField(max_length=260)
    cluster_name = models.CharField(max_length=63, blank=True, default="")  # empty = every cluster

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["client", "kind", "glob", "cluster_name"], name="accounts_ownership_once_per_client_glob"
            ),
            models.CheckConstraint(condition=~Q(glob=""), name="accounts_ownership_glob_given"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.glob}"


class ApiToken(models.Model):
    """A bearer token. Only its SHA-256 is stored; the text is shown once."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=80, blank=True, default="")
    digest = models.CharField(max_length=64, unique=True)
    prefix = models.CharField(max_length=12)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    family = models.UUIDField(default=uuid.uuid4, db_index=True)  # tokens refreshed from one another are ended together
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    replaced_by = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="replaces")

    def __str__(self) -> str:
        return f"{self.prefix}... of {self.user_id}"


class AuditEntry(models.Model):
    """Who did what to which object, with the values before and after. Append-only: a trigger refuses change and removal."""

    at = models.DateTimeField(db_default=Now(), db_index=True)
    actor = models.ForeignKey(User, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    actor_name = models.CharField(
        max_length=150
    )  # stays readable after the user is gone; "system" for the portal itself
    action = models.CharField(max_length=80)  # <app>.<noun>_<past>
    entity = models.CharField(max_length=400)
    client = models.ForeignKey(Client, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    request_id = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        indexes: ClassVar = [models.Index(fields=["action", "-at"], name="accounts_audit_action_at")]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.action} {self.entity}"


class SignInLink(models.Model):
    """A one-time sign-in link for the first administrator; only its SHA-256 is stored."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"sign-in link of {self.user_id}"

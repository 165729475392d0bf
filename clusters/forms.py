"""Forms of cluster administration. They translate what people type; services decide."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from clusters import properties
from clusters.models import Cluster, SchemaRegistry
from clusters.properties import Properties, PropertiesRefused
from clusters.services import Filters, cluster_secrets
from clusters.services.schemas import RegistrySettings, registry_settings

_LINES = forms.Textarea(attrs={"rows": 3, "spellcheck": "false"})
_FILTERS = ("group_allow", "group_deny", "topic_allow", "topic_deny")


class ClusterForm(forms.Form):
    """Everything about a cluster but its name. Stored secrets are never shown; a field left empty keeps them."""

    bootstrap = forms.CharField(
        label="Bootstrap servers", max_length=1000, help_text="host:port, several separated by commas"
    )
    plain = forms.CharField(
        label="Properties",
        required=False,
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false"}),
        help_text="One name=value a line, in the words of librdkafka or Java; nothing for a plain connection.",
    )
    secret = forms.CharField(
        label="Secrets",
        required=False,
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "autocomplete": "off"}),
        help_text="sasl.password, ssl.key.pem, ssl.key.password: stored encrypted, never shown again.",
    )
    forget_secrets = forms.BooleanField(label="Forget the secrets stored so far", required=False)
    prometheus_url = forms.CharField(label="Prometheus address", max_length=500, required=False)
    registry_url = forms.CharField(
        label="Schema registry address",
        max_length=500,
        required=False,
        help_text="One with the API of Confluent: theirs, Karapace, or the server of Apicurio. Empty means none.",
    )
    registry_username = forms.CharField(
        label="User name at the registry",
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="Stored encrypted, never shown again; empty keeps what is stored for this server.",
    )
    registry_password = forms.CharField(
        label="Password at the registry",
        max_length=1000,
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}, render_value=True),
    )
    controllers = forms.CharField(
        label="Controllers", max_length=1000, required=False, help_text="host:port of KRaft controllers, if reachable"
    )
    group_allow = forms.CharField(
        label="Groups to read", required=False, widget=_LINES, help_text="Patterns, one a line; empty means all."
    )
    group_deny = forms.CharField(label="Groups to leave out", required=False, widget=_LINES)
    topic_allow = forms.CharField(
        label="Topics to read", required=False, widget=_LINES, help_text="Patterns, one a line; empty means all."
    )
    topic_deny = forms.CharField(label="Topics to leave out", required=False, widget=_LINES)

    def __init__(self, data: Any = None, *, cluster: Cluster | None = None, **options: Any) -> None:
        super().__init__(data, **options)
        self.cluster = cluster

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        data["registry"] = self._registry(data)
        try:
            pairs = properties.parse_file(data.get("plain", "")) | properties.parse_file(data.get("secret", ""))
            data["properties"] = self._checked(pairs, keep=not data.get("forget_secrets", False))
        except PropertiesRefused as refused:
            for name, text in refused.fields.items():
                self.add_error("secret" if name in properties.SECRET else "plain", f"{name}: {text}")
        return data

    def _checked(self, pairs: Mapping[str, str], *, keep: bool) -> Properties:
        """The properties; a secret that they need and nobody typed is the stored one. Raises PropertiesRefused."""
        try:
            return properties.check(pairs)
        except PropertiesRefused as refused:
            stored = cluster_secrets(cluster=self.cluster) if self.cluster is not None and keep else {}
            gaps = {name: stored[name] for name in refused.fields if name in stored and name not in pairs}
            if not gaps:
                raise
            if "ssl.key.pem" in gaps and "ssl.key.password" in stored:
                gaps["ssl.key.password"] = stored["ssl.key.password"]
            return properties.check({**gaps, **pairs})

    def settings(self) -> dict[str, Any]:
        """What the services take."""
        data = self.cleaned_data
        found: Properties = data["properties"]
        return {
            "bootstrap": data["bootstrap"],
            "properties": found,
            "prometheus_url": data["prometheus_url"],
            "controllers": data["controllers"],
            "filters": Filters(**{name: tuple(data[name].splitlines()) for name in _FILTERS}),
        }

    def registry(self) -> RegistrySettings | None:
        """What is wanted of a schema registry; None = the cluster has none."""
        found: RegistrySettings | None = self.cleaned_data["registry"]
        return found

    def _registry(self, data: dict[str, Any]) -> RegistrySettings | None:
        given = {name: data.get(f"registry_{name}", "") for name in ("url", "username", "password")}
        if not any(given.values()):
            return None
        try:
            return registry_settings(cluster=self.cluster, keep_secrets=not data.get("forget_secrets", False), **given)
        except ValidationError as error:
            for name, texts in error.message_dict.items():
                self.add_error(f"registry_{name}", texts)
            return None


class NewClusterForm(ClusterForm):
    name = forms.CharField(
        label="Name", max_length=63, help_text="Lower-case letters, digits and dashes; part of every address."
    )
    field_order = ("name",)

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        del self.fields["forget_secrets"]
        self.fields["registry_username"].help_text = "Stored encrypted like the password, never shown again."


class SourceForm(forms.Form):
    period_seconds = forms.IntegerField(label="Seconds between two readings", min_value=1, max_value=3600)
    enabled = forms.BooleanField(label="Read it", required=False)


def initial_of(cluster: Cluster, registry: SchemaRegistry | None) -> dict[str, str]:
    """A cluster and its schema registry as their form shows them."""
    return {
        "bootstrap": cluster.bootstrap,
        "plain": _as_lines(cluster.properties),
        "prometheus_url": cluster.prometheus_url,
        "registry_url": registry.url if registry else "",
        "controllers": cluster.controllers,
        **{name: "\n".join(getattr(cluster, name)) for name in _FILTERS},
    }


def _as_lines(pairs: Mapping[str, str]) -> str:
    """Pairs as a properties file; a value of several lines (a PEM) is continued with `\\`."""
    return "\n".join(f"{name}={_escaped(value)}" for name, value in sorted(pairs.items()))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n\\\n")

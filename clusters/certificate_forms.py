"""Forms about certificates. They translate what people type; services decide."""

from typing import Any

from django import forms

from accounts.models import Client
from clusters.expiry import DEFAULTS, CertificateKind

_KINDS = [(kind.value, kind.label) for kind in DEFAULTS]
_SERVED = [
    (kind.value, kind.label) for kind in (CertificateKind.ENDPOINT, CertificateKind.REGISTRY, CertificateKind.BROKER)
]
_DAY = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


class UploadForm(forms.Form):
    """A file with certificates, or a trust store."""

    file = forms.FileField(
        label="File", help_text="PEM, DER, PKCS#7, PKCS#12 or Java key store, at most 20 MB. Keys in it are not kept."
    )
    password = forms.CharField(
        label="Password", required=False, max_length=500, strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}), help_text="Of a locked store; used once, kept nowhere.",
    )  # fmt: skip
    trusted = forms.BooleanField(
        label="Its certificates are trusted",
        required=False,
        help_text="They become anchors: every chain is judged against them.",
    )


class EndpointForm(forms.Form):
    """A TLS endpoint beside the brokers."""

    host = forms.CharField(label="Host", max_length=253)
    port = forms.IntegerField(label="Port", min_value=1, max_value=65535)
    kind = forms.ChoiceField(label="What it is", choices=_SERVED)
    speaks = forms.ChoiceField(label="It speaks", choices=[("http", "HTTP"), ("kafka", "Kafka")])


class ByHandForm(forms.Form):
    """A certificate that is managed elsewhere."""

    subject = forms.CharField(label="Whom it is for", max_length=200)
    kind = forms.ChoiceField(label="Kind", choices=_KINDS, initial=CertificateKind.ENDPOINT.value)
    not_before = forms.DateTimeField(label="Valid from (UTC)", widget=_DAY)
    not_after = forms.DateTimeField(label="Valid until (UTC)", widget=_DAY)
    owner = forms.CharField(label="Who renews it", max_length=200)
    issuer = forms.CharField(label="Issuer", max_length=200, required=False)
    serial = forms.CharField(label="Serial number", max_length=80, required=False)
    client = forms.ModelChoiceField(
        label="Client", queryset=Client.objects.none(), required=False, empty_label="of no client"
    )
    note = forms.CharField(label="Note", max_length=2000, required=False, widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(self, *args: Any, clients: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["client"].queryset = clients  # type: ignore[attr-defined]  # a ModelChoiceField


class KeyForm(forms.Form):
    """A key of the key service, or its newest rotation."""

    name = forms.CharField(label="Key", max_length=200)
    version = forms.CharField(label="Version", max_length=200, required=False)
    rotated_at = forms.DateTimeField(label="Rotated at (UTC)", widget=_DAY)
    rotation_days = forms.FloatField(label="Rotate every, days", min_value=1, max_value=3660, initial=90)
    owner = forms.CharField(label="Who rotates it", max_length=200, required=False)
    manual = forms.BooleanField(
        label="By hand", required=False, help_text="Asymmetric, HMAC and imported keys do not rotate by themselves."
    )


class PolicyForm(forms.Form):
    """When certificates of a kind are to be rotated."""

    kind = forms.ChoiceField(label="Kind", choices=_KINDS)
    rotate_days = forms.FloatField(label="Rotate below, days", min_value=14, max_value=3660)
    alarm_days = forms.FloatField(label="Alarm at, days", min_value=14, max_value=3660)


class ChangeForm(forms.Form):
    """What people know about a certificate that was seen."""

    kind = forms.ChoiceField(label="Kind", choices=_KINDS)
    principal = forms.CharField(
        label="Principal", max_length=500, required=False, help_text="As Kafka knows its holder; decides whose it is."
    )
    owner = forms.CharField(label="Who renews it", max_length=200, required=False)
    note = forms.CharField(label="Note", max_length=2000, required=False, widget=forms.Textarea(attrs={"rows": 2}))


class EmptyForm(forms.Form):
    """A button alone."""

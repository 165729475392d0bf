"""Forms of the lag pages. They check what a person typed; the services check what may be stored."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms

from accounts.models import Client
from clusters.models import Cluster
from lag.models import Slo

_MUTE_LENGTHS = (
    ("1", "1 hour"),
    ("4", "4 hours"),
    ("24", "1 day"),
    ("72", "3 days"),
    ("168", "1 week"),
    ("at", "until a time"),
)


class GroupSettingForm(forms.Form):
    """What Kafka does not tell of a group."""

    read_committed = forms.BooleanField(
        label="Reads committed records only",
        required=False,
        help_text="Lag is then measured against the last stable offset, so that open transactions are no lag.",
    )
    target_seconds = forms.FloatField(
        label="Target, seconds", required=False, min_value=0.1, max_value=604_800,
        help_text="Further behind than this counts as falling behind. Empty: the portal's default.",
    )  # fmt: skip
    commit_interval_seconds = forms.FloatField(
        label="Commit interval, seconds", required=False, min_value=0.1, max_value=604_800,
        help_text="For batch jobs: the longest normal time between two commits. Empty: learned from the commits.",
    )  # fmt: skip


class NotesForm(forms.Form):
    """What an account manager keeps about a client."""

    notes = forms.CharField(label="Notes", required=False, max_length=5000, widget=forms.Textarea(attrs={"rows": 4}))


class MuteForm(forms.Form):
    """Silence a group known to be dead: always with a reason and an end."""

    reason = forms.CharField(label="Reason", max_length=300, help_text="What is known, and who works on it.")
    length = forms.ChoiceField(label="For", choices=_MUTE_LENGTHS, initial="24")
    until = forms.DateTimeField(
        label="Until (UTC)", required=False, widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        help_text="Only for \u201cuntil a time\u201d.",
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("length") == "at" and not data.get("until"):
            self.add_error("until", "Give the time at which the mute ends.")
        return data

    def ends_at(self, now: datetime) -> datetime:
        """When the mute ends; `now` is the database's clock."""
        if self.cleaned_data["length"] == "at":
            until: datetime = self.cleaned_data["until"]
            return until.astimezone(UTC)
        return now + timedelta(hours=int(self.cleaned_data["length"]))


class SloForm(forms.Form):
    """A promise on the lag of a group or a pattern of groups."""

    cluster = forms.ModelChoiceField(
        label="Cluster",
        queryset=Cluster.objects.filter(removed_at__isnull=True).order_by("name"),
        to_field_name="name",
        empty_label=None,
    )
    name = forms.CharField(
        label="Name",
        max_length=120,
        help_text="What people call the promise, such as \u201crisk within a minute\u201d.",
    )
    glob = forms.CharField(
        label="Groups",
        max_length=260,
        help_text="A group's name or a pattern: risk-* matches every group that starts with risk-.",
    )
    client = forms.ModelChoiceField(
        label="Made to",
        queryset=Client.objects.order_by("name"),
        required=False,
        empty_label="nobody in particular",
        help_text="The client sees the promise and how it is kept.",
    )
    max_seconds = forms.FloatField(label="At most behind, seconds", required=False, min_value=0.1, max_value=604_800)
    max_records = forms.IntegerField(label="At most unread records", required=False, min_value=0, max_value=10**15)
    for_seconds = forms.FloatField(
        label="Breached after, seconds",
        initial=30,
        min_value=0,
        max_value=86_400,
        help_text="How long it must be exceeded, and kept again, before a breach opens or closes.",
    )
    objective = forms.FloatField(label="Objective, per cent of the time", initial=99.9, min_value=1, max_value=99.9999)
    severity = forms.ChoiceField(
        label="Severity of a breach", choices=[("critical", "critical"), ("warning", "warning")]
    )
    enabled = forms.BooleanField(label="Enabled", required=False, initial=True)

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if not self.errors and data.get("max_seconds") is None and data.get("max_records") is None:
            self.add_error("max_seconds", "Give a limit in seconds, in records, or both.")
        return data

    def fields_of_slo(self) -> dict[str, Any]:
        """The values as the service takes them: the objective as a share of one."""
        return self.cleaned_data | {"objective": round(self.cleaned_data["objective"] / 100, 8)}

    @staticmethod
    def initial_of(slo: Slo) -> dict[str, Any]:
        """What the form shows of a stored promise."""
        names = ("name", "glob", "max_seconds", "max_records", "for_seconds", "severity", "enabled")
        values = {name: getattr(slo, name) for name in names}
        return values | {
            "cluster": slo.cluster.name,
            "client": slo.client_id,
            "objective": round(slo.objective * 100, 6),
        }

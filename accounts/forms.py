"""Forms of sign-in, account and administration. They check shapes; services decide."""

import zoneinfo
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounts.models import Client, Ownership, User
from accounts.roles import Role

_PASSWORD = forms.PasswordInput(attrs={"autocomplete": "current-password"})


def explain(form: forms.BaseForm, error: ValidationError) -> None:
    """Put what a service refused beside the fields it names, the rest on top of the form."""
    texts = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
    for name, messages in texts.items():
        for message in messages:
            form.add_error(name if name in form.fields else None, message)


class SignInForm(forms.Form):
    username = forms.CharField(
        label="Name", max_length=150, widget=forms.TextInput(attrs={"autocomplete": "username", "autofocus": True})
    )
    password = forms.CharField(label="Password", max_length=1000, strip=False, widget=_PASSWORD)


class PasswordForm(forms.Form):
    """A new password. People who have one type it first; those who came by a link have none."""

    old = forms.CharField(label="Password now", max_length=1000, strip=False, widget=_PASSWORD)
    password = forms.CharField(
        label="New password",
        max_length=1000,
        strip=False,
        help_text="At least 12 characters; a few words are best.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    again = forms.CharField(
        label="New password again",
        max_length=1000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, user: User, data: Any = None) -> None:
        super().__init__(data)
        self.user = user
        if not user.has_usable_password():
            del self.fields["old"]

    def clean_old(self) -> str:
        old: str = self.cleaned_data["old"]
        if not self.user.check_password(old):
            raise ValidationError("This is not your password.")
        return old

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("password") and data.get("again") and data["password"] != data["again"]:
            self.add_error("again", "The two passwords differ.")
        return data


class PreferencesForm(forms.Form):
    time_zone = forms.CharField(
        label="Time zone",
        max_length=64,
        help_text="Yours, where the switch in the menu leaves UTC. Type to search.",
        widget=forms.TextInput(attrs={"list": "time-zones", "autocomplete": "off", "spellcheck": "false"}),
    )
    theme = forms.ChoiceField(label="Theme", choices=[("auto", "as the system"), ("light", "light"), ("dark", "dark")])

    def clean_time_zone(self) -> str:
        name: str = self.cleaned_data["time_zone"]
        if name not in zoneinfo.available_timezones():
            raise ValidationError("There is no time zone of that name. One is called Europe/Zurich, for example.")
        return name


class TokenForm(forms.Form):
    name = forms.CharField(label="What it is for", max_length=80, required=False)
    hours = forms.FloatField(label="Hours it lives", initial=1, min_value=0.01, max_value=24 * 366)


class UserForm(forms.Form):
    username = forms.CharField(label="Name", max_length=150, help_text="Letters, digits and @ . + - _")
    role = forms.ChoiceField(label="Role", choices=[(role.value, role.label) for role in Role])
    clients = forms.ModelMultipleChoiceField(
        label="Clients",
        queryset=Client.objects.order_by("name"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="For account managers and client viewers; the other roles see all clients.",
    )
    email = forms.EmailField(label="E-mail", required=False)


class PersonForm(forms.Form):
    first_name = forms.CharField(label="First name", max_length=150, required=False)
    last_name = forms.CharField(label="Last name", max_length=150, required=False)
    email = forms.EmailField(label="E-mail", required=False)


class RoleForm(forms.Form):
    role = forms.ChoiceField(label="Role", choices=[(role.value, role.label) for role in Role])


class MembershipForm(forms.Form):
    clients = forms.ModelMultipleChoiceField(
        label="Clients", queryset=Client.objects.order_by("name"), required=False, widget=forms.CheckboxSelectMultiple
    )


class ClientForm(forms.Form):
    name = forms.CharField(label="Name", max_length=120)
    notes = forms.CharField(label="Notes", required=False, max_length=5000, widget=forms.Textarea(attrs={"rows": 3}))


class OwnershipForm(forms.Form):
    kind = forms.ChoiceField(label="What", choices=Ownership.Kind.choices)
    glob = forms.CharField(
        label="Name or pattern",
        max_length=260,
        strip=False,
        help_text="Case-sensitive; * any text, ? one character, [ab] a or b.",
    )
    cluster = forms.CharField(label="Cluster", max_length=63, required=False, help_text="Empty means every cluster.")


class ConfirmForm(forms.Form):
    """Asks for the name of what is about to go."""

    typed = forms.CharField(label="Type the name to confirm", max_length=300)

    def __init__(self, name: str, data: Any = None) -> None:
        super().__init__(data)
        self.name = name

    def clean_typed(self) -> str:
        typed: str = self.cleaned_data["typed"]
        if typed != self.name:
            raise ValidationError(f"Type {self.name} exactly.")
        return typed

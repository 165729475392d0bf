"""Settings and mute of one group."""

import re
from typing import cast

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from accounts.guards import requires
from accounts.models import User
from accounts.roles import Right
from clusters.models import Cluster
from lag import services
from lag.forms import GroupSettingForm, MuteForm
from lag.models import GroupSetting
from lag.selectors.settings import default_settings, setting_of, setting_with_glob
from lag.views.board import period_of
from lag.views.group import group_or_404
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.database import database_clock


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Right.CHANGE_GROUP_SETTINGS)
def group_settings(request: HttpRequest, cluster: str, group: str) -> HttpResponse:
    """Show and change what is set for one group; a pattern that also matches is overruled by the group's own row."""
    found, row = group_or_404(request.user, cluster, group)
    form = GroupSettingForm(request.POST or None, initial=_initial(setting_of(found, row.name)))
    if request.method == "POST" and form.is_valid() and _saved(form, found, row.name, _user(request)):
        messages.success(request, f"Settings of {row.name} saved; they hold from the next reading on.")
        return redirect("lag:group-detail", cluster=found.name, group=group)
    return _page(request, found, row.name, group, form, MuteForm())


@require_POST
@requires(Right.CHANGE_GROUP_SETTINGS)
def group_mute(request: HttpRequest, cluster: str, group: str) -> HttpResponse:
    """Mute a group until a time, or end its mute."""
    found, row = group_or_404(request.user, cluster, group)
    own = setting_with_glob(found, exact_glob(row.name))
    if "unmute" in request.POST:
        if own is not None:
            services.group_unmute(setting=own, acting_user=_user(request))
        messages.success(request, f"{row.name} is no longer muted.")
        return redirect("lag:group-detail", cluster=found.name, group=group)
    form = MuteForm(request.POST)
    if form.is_valid() and _muted(form, found, row.name, _user(request)):
        messages.success(request, f"{row.name} is muted.")
        return redirect("lag:group-detail", cluster=found.name, group=group)
    return _page(request, found, row.name, group, GroupSettingForm(initial=_initial(setting_of(found, row.name))), form)


def exact_glob(name: str) -> str:
    """A glob that matches this name and no other."""
    return re.sub(r"([*?\[])", r"[\1]", name)


def _page(request: HttpRequest, cluster: Cluster, name: str, path: str, form: Form, mute: Form) -> HttpResponse:
    effective = setting_of(cluster, name)
    context = {
        "cluster": cluster.name,
        "name": name,
        "path": path,
        "form": form,
        "mute_form": mute,
        "effective": effective,
        "is_own": effective is not None and effective.glob == exact_glob(name),
        "defaults": default_settings(period_of(cluster)),
        "muted": effective is not None
        and effective.muted_until is not None
        and effective.muted_until > as_datetime(database_clock().now()),
    }
    return render(request, "lag/group_settings.html", context, status=422 if form.errors or mute.errors else 200)


def _initial(setting: GroupSetting | None) -> dict[str, object]:
    if setting is None:
        return {}
    return {name: getattr(setting, name) for name in ("read_committed", "target_seconds", "commit_interval_seconds")}


def _saved(form: GroupSettingForm, cluster: Cluster, name: str, user: User) -> bool:
    try:
        services.group_setting_set(cluster=cluster, glob=exact_glob(name), acting_user=user, **form.cleaned_data)
    except ValidationError as error:
        form.add_error(None, error)
        return False
    return True


def _muted(form: MuteForm, cluster: Cluster, name: str, user: User) -> bool:
    """A pattern's settings are copied into the group's own row first, which would else hide them."""
    effective = setting_of(cluster, name)
    try:
        if effective is not None and effective.glob != exact_glob(name):
            services.group_setting_set(cluster=cluster, glob=exact_glob(name), acting_user=user, **_initial(effective))  # type: ignore[arg-type]  # names of the columns
        until = form.ends_at(as_datetime(database_clock().now()))
        services.group_mute(
            cluster=cluster, glob=exact_glob(name), reason=form.cleaned_data["reason"], until=until, acting_user=user
        )
    except ValidationError as error:
        form.add_error(None, error)
        return False
    return True


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)  # the guard lets nobody else in

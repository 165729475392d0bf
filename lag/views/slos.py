"""SLOs: the list everybody with lag sees, and their administration."""

from typing import cast

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.guards import requires
from accounts.models import User
from accounts.policies import may
from accounts.roles import Right
from lag import selectors, services
from lag.forms import SloForm
from lag.models import Slo
from lag.selectors.slos import slo_with_id


@require_safe
@requires(Right.SEE_LAG)
def slo_list(request: HttpRequest) -> HttpResponse:
    """Promises and how they are kept, breached ones first."""
    rows = sorted(
        selectors.slos(request.user),
        key=lambda row: (not row.breached, row.budget_left if row.budget_left is not None else 2),
    )
    breached = sum(1 for row in rows if row.breached)
    return render(
        request,
        "lag/slo_list.html",
        {"rows": rows, "breached": breached, "may_change": may(request.user, Right.CHANGE_SLO)},
    )


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Right.CHANGE_SLO)
def slo_add(request: HttpRequest) -> HttpResponse:
    """Make a promise; `cluster` and `glob` may be given in the address."""
    given = {name: request.GET[name] for name in ("cluster", "glob") if name in request.GET}
    form = SloForm(request.POST or None, initial=given)
    if request.method == "POST" and form.is_valid() and _done(form, None, _user(request)):
        messages.success(request, f"{form.cleaned_data['name']} is kept from the next reading on.")
        return redirect("lag:slos")
    return render(request, "lag/slo_form.html", {"form": form, "slo": None}, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Right.CHANGE_SLO)
def slo_change(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a promise; what it has counted stays."""
    slo = _slo_or_404(pk)
    form = SloForm(request.POST or None, initial=SloForm.initial_of(slo))
    if request.method == "POST" and form.is_valid() and _done(form, slo, _user(request)):
        messages.success(request, f"{form.cleaned_data['name']} saved.")
        return redirect("lag:slos")
    return render(request, "lag/slo_form.html", {"form": form, "slo": slo}, status=422 if form.errors else 200)


@require_POST
@requires(Right.CHANGE_SLO)
def slo_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Remove a promise whose name was typed."""
    slo = _slo_or_404(pk)
    if request.POST.get("name", "").strip() != slo.name:
        messages.error(request, "The name does not match. Nothing was removed.")
        return redirect("lag:slo-change", pk=pk)
    services.slo_remove(slo=slo, acting_user=_user(request))
    messages.success(request, f"{slo.name} is removed with what it had counted.")
    return redirect("lag:slos")


def _done(form: SloForm, slo: Slo | None, user: User) -> bool:
    try:
        if slo is None:
            services.slo_add(acting_user=user, **form.fields_of_slo())
        else:
            services.slo_change(slo=slo, acting_user=user, **form.fields_of_slo())
    except ValidationError as error:
        form.add_error(None, error)
        return False
    return True


def _slo_or_404(pk: int) -> Slo:
    slo = slo_with_id(pk)
    if slo is None:
        raise Http404("no such SLO")
    return slo


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)  # the guard lets nobody else in

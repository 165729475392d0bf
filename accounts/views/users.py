"""Administration of users."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import selectors, services
from accounts.callers import ApiRequest
from accounts.forms import MembershipForm, PersonForm, RoleForm, UserForm, explain
from accounts.guards import requires
from accounts.models import User
from accounts.roles import Right, Role
from accounts.views.pages import page_of, rest_of_query


@require_safe
@requires(Right.ADMINISTER)
def admin_home(request: ApiRequest) -> HttpResponse:
    """The places of administration, with how much is there."""
    return render(request, "accounts/admin_home.html", {"counts": selectors.administration_counts()})


@require_safe
@requires(Right.ADMINISTER)
def user_list(request: ApiRequest) -> HttpResponse:
    q = request.GET.get("q", "").replace("\0", "")[:150]
    page = page_of(request, selectors.users_with_clients(q))
    return render(request, "accounts/user_list.html", {"page": page, "q": q, "rest": rest_of_query(request)})


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires(Right.ADMINISTER)
def user_add(request: ApiRequest) -> HttpResponse:
    """A new person signs in first by a link, which the answer shows once, and chooses the password."""
    form = UserForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            user = services.user_add(acting_user=request.user, **form.cleaned_data)
        except ValidationError as error:
            explain(form, error)
        else:
            messages.success(request, f"{user.username} is added.")
            return _with_link(request, user)
    return render(request, "accounts/user_add.html", {"form": form}, status=422 if form.errors else 200)


@require_safe
@requires(Right.ADMINISTER)
def user_detail(request: ApiRequest, pk: int) -> HttpResponse:
    return _page(request, _user(pk))


@require_POST
@requires(Right.ADMINISTER)
def user_role(request: ApiRequest, pk: int) -> HttpResponse:
    return _changed(request, pk, "role_form", RoleForm(request.POST), services.role_change)


@require_POST
@requires(Right.ADMINISTER)
def user_clients(request: ApiRequest, pk: int) -> HttpResponse:
    return _changed(request, pk, "clients_form", MembershipForm(request.POST), services.membership_set)


@require_POST
@requires(Right.ADMINISTER)
def user_person(request: ApiRequest, pk: int) -> HttpResponse:
    return _changed(request, pk, "person_form", PersonForm(request.POST), services.user_change)


@require_POST
@requires(Right.ADMINISTER)
def user_disable(request: ApiRequest, pk: int) -> HttpResponse:
    return _done(request, pk, services.user_disable, "{} is disabled: sessions, sockets and tokens have ended.")


@require_POST
@requires(Right.ADMINISTER)
def user_enable(request: ApiRequest, pk: int) -> HttpResponse:
    return _done(request, pk, services.user_enable, "{} may sign in again.")


@require_POST
@requires(Right.ADMINISTER)
def user_sign_out(request: ApiRequest, pk: int) -> HttpResponse:
    return _done(request, pk, services.sign_out_everywhere, "{} is signed out on every device.")


@require_POST
@never_cache
@requires(Right.ADMINISTER)
def user_link(request: ApiRequest, pk: int) -> HttpResponse:
    """A fresh one-time sign-in link; the page that answers is the only one that shows it."""
    user = _user(pk)
    if not user.is_active:
        messages.error(request, f"{user.username} is disabled.")
        return redirect("accounts:user-detail", pk)
    return _with_link(request, user)


def _user(pk: int) -> User:
    user = selectors.user_with_clients(pk)
    if user is None:
        raise Http404
    return user


def _page(request: ApiRequest, user: User, status: int = 200, **forms_given: Any) -> HttpResponse:
    context = {
        "person": user,
        "role_form": RoleForm(initial={"role": user.role}),
        "clients_form": MembershipForm(initial={"clients": user.clients.all()}),
        "person_form": PersonForm(
            initial={"first_name": user.first_name, "last_name": user.last_name, "email": user.email}
        ),
        "sees_all": Role(user.role).sees_all_clients,
        "tokens": selectors.tokens_of(user)[:20],
        "entries": selectors.audit_entries(entity=f"user {user.username}")[:20],
        **forms_given,
    }
    return render(request, "accounts/user_detail.html", context, status=status)


def _changed(request: ApiRequest, pk: int, name: str, form: forms.Form, service: Callable[..., User]) -> HttpResponse:
    """Apply a form to a user: back to the page when it worked, the page with what is wrong when it did not."""
    user = _user(pk)
    if form.is_valid():
        try:
            service(user=user, acting_user=request.user, **form.cleaned_data)
        except ValidationError as error:
            explain(form, error)
        else:
            messages.success(request, f"{user.username} is changed.")
            return redirect("accounts:user-detail", pk)
    return _page(request, user, status=422, **{name: form})


def _done(request: ApiRequest, pk: int, service: Callable[..., User], text: str) -> HttpResponse:
    user = _user(pk)
    try:
        service(user=user, acting_user=request.user)
        messages.success(request, text.format(user.username))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    return redirect("accounts:user-detail", pk)


def _with_link(request: ApiRequest, user: User) -> HttpResponse:
    text = services.sign_in_link_create(user=user, acting_user=request.user)
    link = request.build_absolute_uri(reverse("accounts:link-sign-in", args=[text]))
    return _page(request, user, link=link)

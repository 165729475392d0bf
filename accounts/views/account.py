"""A person's own account: password, preferences, API tokens."""

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import selectors, services
from accounts.callers import ApiRequest
from accounts.forms import PasswordForm, PreferencesForm, TokenForm, explain
from accounts.guards import signed_in


@require_safe
@never_cache
@signed_in("shows the person's own account")
def profile(request: ApiRequest) -> HttpResponse:
    return _page(request)


@require_POST
@signed_in("changes the person's own taste")
def preferences_change(request: ApiRequest) -> HttpResponse:
    form = PreferencesForm(request.POST)
    if form.is_valid():
        services.preferences_change(user=request.user, acting_user=request.user, **form.cleaned_data)
        messages.success(request, "Saved.")
        return redirect("accounts:profile")
    return _page(request, preferences=form)


@require_POST
@signed_in("changes the person's own taste")
def theme_change(request: ApiRequest) -> HttpResponse:
    """What the switch below the menu says; the preferences show the same."""
    user = request.user
    form = PreferencesForm({"time_zone": user.time_zone, "theme": request.POST.get("theme")})
    if not form.is_valid():
        return HttpResponse(status=422)
    services.preferences_change(user=user, acting_user=user, **form.cleaned_data)
    return HttpResponse(status=204)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@sensitive_post_parameters()
@signed_in("changes the person's own password")
def password_change(request: ApiRequest) -> HttpResponse:
    """Every other session of the person ends; this one goes on."""
    form = PasswordForm(request.user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            user = services.password_change(
                user=request.user, password=form.cleaned_data["password"], acting_user=request.user
            )
        except ValidationError as error:
            explain(form, error)
        else:
            update_session_auth_hash(request, user)
            messages.success(request, "The new password holds. Other devices are signed out.")
            return redirect("accounts:profile")
    return render(request, "accounts/password_change.html", {"form": form}, status=422 if form.errors else 200)


@require_POST
@never_cache
@signed_in("makes a token with the person's own rights")
def token_create(request: ApiRequest) -> HttpResponse:
    """The page that answers is the only one that ever shows the token."""
    form = TokenForm(request.POST)
    if form.is_valid():
        try:
            _, text = services.token_create(user=request.user, acting_user=request.user, **form.cleaned_data)
        except ValidationError as error:
            explain(form, error)
        else:
            return _page(request, new_token=text)
    return _page(request, tokens_form=form)


@require_POST
@signed_in("ends the person's own token")
def token_revoke(request: ApiRequest, pk: int) -> HttpResponse:
    token = selectors.tokens_of(request.user).filter(pk=pk).first()
    if token is None:
        raise Http404
    services.token_revoke(token=token, acting_user=request.user)
    messages.success(request, f"The token {token.prefix} has ended.")
    return redirect("accounts:profile")


def _page(
    request: ApiRequest,
    *,
    preferences: PreferencesForm | None = None,
    tokens_form: TokenForm | None = None,
    new_token: str = "",
) -> HttpResponse:
    user = request.user
    context = {
        "clients": selectors.clients_visible(user),
        "preferences": preferences or PreferencesForm(initial={"time_zone": user.time_zone, "theme": user.theme}),
        "tokens_form": tokens_form or TokenForm(),
        "tokens": selectors.tokens_of(user)[:50],
        "new_token": new_token,
    }
    failed = any(form is not None and form.errors for form in (preferences, tokens_form))
    return render(request, "accounts/profile.html", context, status=422 if failed else 200)

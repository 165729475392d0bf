"""Signing in and out."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import authenticate
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import selectors, services, sessions
from accounts.callers import ApiRequest
from accounts.forms import SignInForm
from accounts.guards import public, signed_in
from accounts.models import User
from accounts.policies import role_of
from ops_portal.lib import ratelimit
from ops_portal.lib.clock import as_datetime, iso

SPRAY_FACTOR = 10  # attempts an address may make over all names, in multiples of the limit for one name


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@sensitive_post_parameters("password")
@public("people sign in here")
def sign_in(request: HttpRequest) -> HttpResponse:
    """Sign in by name and password."""
    if role_of(request.user) is not None:
        return HttpResponseRedirect(_next_page(request))
    form = SignInForm(request.POST or None)
    status = 200
    if request.method == "POST" and form.is_valid():
        wait = _seconds_to_wait(request, form.cleaned_data["username"])
        user = authenticate(request, **form.cleaned_data) if wait == 0 else None
        if isinstance(user, User):
            sessions.begin(request, user)
            services.sign_in_record(user=user, acting_user=user)
            return HttpResponseRedirect(_next_page(request))
        status = _explain(form, wait)
    response = render(request, "accounts/sign_in.html", {"form": form, "next": _given_next(request)}, status=status)
    if status in {429, 503}:
        response["Retry-After"] = str(wait if wait > 0 else ratelimit.WINDOW_SECONDS)
    return response


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@public("the link itself is the credential")
def link_sign_in(request: HttpRequest, text: str) -> HttpResponse:
    """Sign in by a one-time link. Reading it changes nothing, because mail scanners and previews read links too."""
    user = services.sign_in_link_use(text=text) if request.method == "POST" else None
    if user is not None:
        sessions.begin(request, user)
        services.sign_in_record(user=user, acting_user=user)
        return redirect("home" if user.has_usable_password() else "accounts:password-change")
    is_open = request.method != "POST" and selectors.sign_in_link_is_open(text)
    return render(request, "accounts/sign_in_link.html", {"is_open": is_open}, status=200 if is_open else 410)


@require_POST
@public("ending one's own session needs no right")
def sign_out(request: HttpRequest) -> HttpResponse:
    sessions.end(request)
    return redirect(settings.LOGOUT_REDIRECT_URL)


@require_POST
@signed_in("ends the person's own sessions")
def sign_out_everywhere(request: ApiRequest) -> HttpResponse:
    services.sign_out_everywhere(user=request.user, acting_user=request.user)
    sessions.end(request)
    messages.success(request, "You are signed out on every device.")
    return redirect(settings.LOGOUT_REDIRECT_URL)


@require_POST
@never_cache
@signed_in("keeps the person's own session alive")
def session_touch(request: HttpRequest) -> JsonResponse:
    """Put off the end of the session; answers when it ends now."""
    ends_at = sessions.touch(request, at_most_every=0)
    return JsonResponse({"expires_at": iso(as_datetime(ends_at))})


def _seconds_to_wait(request: HttpRequest, username: str) -> int:
    """0 when this attempt may go on, -1 when nobody can tell, because then sign-in stays closed."""
    address, limit = ratelimit.client_address(request), settings.SIGN_IN_LIMIT_PER_MINUTE
    try:
        for key, most in ((f"{address}|{username.casefold()}", limit), (address, limit * SPRAY_FACTOR)):
            admission = ratelimit.admit("sign-in", key, most, fail_closed=True)
            if not admission.admitted:
                return admission.retry_after_seconds
    except ratelimit.LimiterUnavailable:
        return -1
    return 0


def _explain(form: SignInForm, wait: int) -> int:
    """Say why nobody was signed in; the status of the answer."""
    if wait < 0:
        form.add_error(
            None, "Sign-in is closed for the moment, because attempts cannot be counted. Try again in a minute."
        )
        return 503
    if wait > 0:
        form.add_error(None, f"Too many attempts. Try again in {wait} s.")
        return 429
    form.add_error(None, "Name and password do not match an active account.")
    return 403


def _given_next(request: HttpRequest) -> str:
    """The page somebody came for, if it is one of ours."""
    wish = request.POST.get("next") or request.GET.get("next") or ""
    ours = url_has_allowed_host_and_scheme(wish, {request.get_host()}, require_https=request.is_secure())
    return wish if ours and "/" in wish else ""


def _next_page(request: HttpRequest) -> str:
    return _given_next(request) or reverse(settings.LOGIN_REDIRECT_URL)

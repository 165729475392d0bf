"""Everybody's tokens, and the audit trail."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts import selectors, services
from accounts.callers import ApiRequest
from accounts.guards import requires
from accounts.roles import Right
from accounts.views.pages import page_of, rest_of_query

_FILTERS = ("q", "action", "actor", "client")


@require_safe
@requires(Right.ADMINISTER)
def token_list(request: ApiRequest) -> HttpResponse:
    """Tokens that work now, those that end first at the top."""
    page = page_of(request, selectors.tokens_all())
    return render(request, "accounts/token_list.html", {"page": page, "rest": rest_of_query(request)})


@require_POST
@requires(Right.ADMINISTER)
def token_revoke(request: ApiRequest, pk: int) -> HttpResponse:
    token = selectors.tokens_all().filter(pk=pk).first()
    if token is None:
        raise Http404
    services.token_revoke(token=token, acting_user=request.user)
    messages.success(request, f"The token {token.prefix} of {token.user.username} has ended.")
    return redirect("accounts:token-list")


@require_safe
@requires(Right.SEE_AUDIT)
def audit_list(request: ApiRequest) -> HttpResponse:
    """Who did what to which object, with the values before and after, newest first."""
    given = {name: request.GET.get(name, "").replace("\0", "")[:400] for name in _FILTERS}
    page = page_of(request, selectors.audit_entries(**given))
    context = {
        "page": page,
        "given": given,
        "actions": selectors.audit_actions(),
        "actors": selectors.audit_actors(),
        "clients": selectors.clients_visible(request.user),
        "rest": rest_of_query(request),
    }
    return render(request, "accounts/audit_list.html", context)

"""Administration of clients and of what belongs to them."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import known_objects, selectors, services
from accounts.callers import ApiRequest
from accounts.forms import ClientForm, ConfirmForm, OwnershipForm, explain
from accounts.guards import requires
from accounts.models import Client
from accounts.roles import Right
from accounts.services import OwnershipSpec
from accounts.views.pages import page_of, rest_of_query


@require_safe
@requires(Right.ADMINISTER)
def client_list(request: ApiRequest) -> HttpResponse:
    q = request.GET.get("q", "").replace("\0", "")[:120]
    page = page_of(request, selectors.clients_with_counts(q))
    return render(request, "accounts/client_list.html", {"page": page, "q": q, "rest": rest_of_query(request)})


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Right.ADMINISTER)
def client_add(request: ApiRequest) -> HttpResponse:
    form = ClientForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            client = services.client_add(acting_user=request.user, **form.cleaned_data)
        except ValidationError as error:
            explain(form, error)
        else:
            messages.success(request, f"{client.name} is added. Say next what belongs to it.")
            return redirect("accounts:client-detail", client.pk)
    return render(request, "accounts/client_add.html", {"form": form}, status=422 if form.errors else 200)


@require_safe
@requires(Right.ADMINISTER)
def client_detail(request: ApiRequest, pk: int) -> HttpResponse:
    return _page(request, _client(pk))


@require_POST
@requires(Right.ADMINISTER)
def client_change(request: ApiRequest, pk: int) -> HttpResponse:
    client, form = _client(pk), ClientForm(request.POST)
    if form.is_valid():
        try:
            services.client_change(client=client, acting_user=request.user, **form.cleaned_data)
        except ValidationError as error:
            explain(form, error)
        else:
            messages.success(request, "Saved.")
            return redirect("accounts:client-detail", pk)
    return _page(request, client, form=form)


@require_POST
@requires(Right.ADMINISTER)
def client_remove(request: ApiRequest, pk: int) -> HttpResponse:
    client = _client(pk)
    form = ConfirmForm(client.name, request.POST)
    if not form.is_valid():
        return _page(request, client, confirm=form)
    services.client_remove(client=client, acting_user=request.user)
    messages.success(request, f"{client.name} is removed.")
    return redirect("accounts:client-list")


@require_POST
@requires(Right.ADMINISTER)
def ownership_add(request: ApiRequest, pk: int) -> HttpResponse:
    client, form = _client(pk), OwnershipForm(request.POST)
    if form.is_valid():
        data = form.cleaned_data
        spec = OwnershipSpec(data["kind"], data["glob"], data["cluster"])
        try:
            added = services.ownership_add(client=client, specs=[spec], acting_user=request.user)
        except ValidationError as error:
            explain(form, error)
        else:
            messages.success(request, "Added." if added else "The client has that already.")
            return redirect("accounts:client-detail", pk)
    return _page(request, client, ownership=form)


@require_POST
@requires(Right.ADMINISTER)
def ownership_remove(request: ApiRequest, pk: int, ownership_pk: int) -> HttpResponse:
    found = next((row for row in selectors.ownerships_of(_client(pk)) if row.pk == ownership_pk), None)
    if found is None:
        raise Http404
    services.ownership_remove(ownership=found, acting_user=request.user)
    messages.success(request, f"{found.glob} is removed.")
    return redirect("accounts:client-detail", pk)


def _client(pk: int) -> Client:
    client = selectors.client_by_id(pk)
    if client is None:
        raise Http404
    return client


def _page(
    request: ApiRequest,
    client: Client,
    form: ClientForm | None = None,
    ownership: OwnershipForm | None = None,
    confirm: ConfirmForm | None = None,
) -> HttpResponse:
    context = {
        "client": client,
        "form": form or ClientForm(initial={"name": client.name, "notes": client.notes}),
        "ownership": ownership or OwnershipForm(),
        "confirm": confirm or ConfirmForm(client.name),
        "matched": known_objects.matched(selectors.ownerships_of(client)),
        "people": selectors.people_of(client),
        "entries": selectors.audit_entries(client=client.name)[:20],
    }
    failed = any(given is not None for given in (form, ownership, confirm))
    return render(request, "accounts/client_detail.html", context, status=422 if failed else 200)

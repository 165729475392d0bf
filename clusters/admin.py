"""Administration of clusters: adding with a connection test, changing, removing, and how often each source is read."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.callers import ApiRequest
from accounts.forms import ConfirmForm, explain
from accounts.guards import requires
from accounts.roles import Right
from accounts.selectors import audit_entries
from clusters import selectors, services
from clusters.forms import ClusterForm, NewClusterForm, SourceForm, initial_of
from clusters.gateways.kafka_probe import ConnectionTest
from clusters.models import Cluster
from clusters.selectors.schemas import registry_of
from clusters.services.schemas import RegistryTest, registry_entity, registry_remove, registry_set, registry_test

# What the pressed button asks for: only test, save if the cluster answers, save all the same.
TEST, SAVE, FORCE = "test", "save", "force"


@dataclass
class Tests:
    """What the connection tests of one press said; None = not asked."""

    cluster: ConnectionTest | None = None
    registry: RegistryTest | None = None

    @property
    def ok(self) -> bool:
        """Whether all that was asked answers."""
        return all(one is None or one.ok for one in (self.cluster, self.registry))


@require_safe
@requires(Right.ADMINISTER)
def cluster_list(request: ApiRequest) -> HttpResponse:
    rows = [
        (
            cluster,
            selectors.sources(request.user, cluster.name),
            cluster.properties.get("security.protocol", "PLAINTEXT"),
        )
        for cluster in selectors.clusters_visible(request.user)
    ]
    return render(request, "clusters/cluster_list.html", {"rows": rows})


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@sensitive_post_parameters("secret", "plain", "registry_password")
@requires(Right.ADMINISTER)
def cluster_add(request: ApiRequest) -> HttpResponse:
    """Test the connection, and add the cluster when it answers, or all the same when asked to."""
    form, tests = NewClusterForm(request.POST or None), Tests()
    if request.method == "POST" and form.is_valid():
        asked, settings = request.POST.get("do", SAVE), form.settings()
        if asked != FORCE:
            tests.cluster = services.connection_test(bootstrap=settings["bootstrap"], properties=settings["properties"])
            tests.registry = _registry_tested(form)
        if asked == FORCE or (asked == SAVE and tests.ok):
            try:
                cluster = services.cluster_add(name=form.cleaned_data["name"], acting_user=request.user, **settings)
                _registry_saved(request, form, cluster)
            except ValidationError as error:
                explain(form, error)
            else:
                messages.success(request, f"{cluster.name} is added; the first reading follows within seconds.")
                return redirect("clusters:cluster-detail", cluster.name)
    return _form_page(request, "clusters/cluster_add.html", form, tests)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@sensitive_post_parameters("secret", "plain", "registry_password")
@requires(Right.ADMINISTER)
def cluster_detail(request: ApiRequest, cluster: str) -> HttpResponse:
    """A cluster's settings; saving them follows the same rule as adding."""
    found, tests = _cluster(request, cluster), Tests()
    form = _form_of(request, found, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        asked, settings = request.POST.get("do", SAVE), form.settings()
        keep = not form.cleaned_data["forget_secrets"]
        if asked != FORCE:
            tests.cluster = services.changed_connection_test(
                cluster=found, bootstrap=settings["bootstrap"], properties=settings["properties"], keep_secrets=keep
            )
            tests.registry = _registry_tested(form)
        if asked == FORCE or (asked == SAVE and tests.ok):
            try:
                services.cluster_change(cluster=found, keep_secrets=keep, acting_user=request.user, **settings)
                _registry_saved(request, form, found)
            except ValidationError as error:
                explain(form, error)
            else:
                messages.success(request, "Saved. Workers connect anew for the next reading.")
                return redirect("clusters:cluster-detail", cluster)
    return _form_page(request, "clusters/cluster_detail.html", form, tests, **_around(request, found))


@require_POST
@requires(Right.ADMINISTER)
def cluster_remove(request: ApiRequest, cluster: str) -> HttpResponse:
    found = _cluster(request, cluster)
    confirm = ConfirmForm(found.name, request.POST)
    if not confirm.is_valid():
        form = _form_of(request, found)
        context = _around(request, found) | {"confirm": confirm}
        return render(request, "clusters/cluster_detail.html", {"form": form, **context}, status=422)
    services.cluster_remove(cluster=found, acting_user=request.user)
    messages.success(request, f"{found.name} is no longer watched.")
    return redirect("clusters:cluster-list")


@require_POST
@requires(Right.ADMINISTER)
def source_change(request: ApiRequest, cluster: str, kind: str) -> HttpResponse:
    source = selectors.source_of(_cluster(request, cluster), kind)
    if source is None:
        raise Http404
    form = SourceForm(request.POST)
    if form.is_valid():
        services.source_change(source=source, acting_user=request.user, **form.cleaned_data)
        messages.success(request, f"{kind} is read every {form.cleaned_data['period_seconds']} s.")
    else:
        messages.error(request, "The period must be a whole number from 1 to 3600 seconds.")
    return redirect("clusters:cluster-detail", cluster)


def _cluster(request: ApiRequest, name: str) -> Cluster:
    cluster = selectors.cluster_named(request.user, name)
    if cluster is None:
        raise Http404
    return cluster


def _registry_tested(form: ClusterForm) -> RegistryTest | None:
    wanted = form.registry()
    return registry_test(wanted=wanted) if wanted is not None else None


def _registry_saved(request: ApiRequest, form: ClusterForm, cluster: Cluster) -> None:
    wanted = form.registry()
    if wanted is None:
        registry_remove(cluster=cluster, acting_user=request.user)
    else:
        registry_set(cluster=cluster, url=wanted.url, acting_user=request.user, **wanted.secrets)


def _form_of(request: ApiRequest, cluster: Cluster, data: QueryDict | None = None) -> ClusterForm:
    return ClusterForm(data, initial=initial_of(cluster, registry_of(request.user, cluster)), cluster=cluster)


def _around(request: ApiRequest, cluster: Cluster) -> dict[str, Any]:
    registry = registry_of(request.user, cluster)
    return {
        "cluster": cluster,
        "secret_names": [
            *sorted(cluster.secrets),
            *(f"{name} at the registry" for name in sorted(registry.secrets if registry else ())),
        ],
        "sources": selectors.sources(request.user, cluster.name),
        "confirm": ConfirmForm(cluster.name),
        "entries": audit_entries(q=cluster.name).filter(
            entity__in=[f"cluster {cluster.name}", registry_entity(cluster)]
        )[:20],
    }


def _form_page(request: ApiRequest, template: str, form: ClusterForm, tests: Tests, **context: Any) -> HttpResponse:
    failed = bool(form.errors) or not tests.ok
    return render(request, template, {"form": form, "tests": tests, **context}, status=422 if failed else 200)

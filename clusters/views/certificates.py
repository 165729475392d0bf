"""Pages of certificates: the tree of trust on a time axis, one certificate, and what people enter."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.callers import ApiRequest
from accounts.guards import requires
from accounts.policies import may, scope_of
from accounts.roles import Right
from accounts.selectors import clients_visible
from clusters import tasks
from clusters.certificate_forms import ByHandForm, ChangeForm, EndpointForm, KeyForm, PolicyForm, UploadForm
from clusters.certificate_tree import ticks, tree_of
from clusters.chains import LARGEST_BUNDLE, ChainVerdict
from clusters.expiry import Band
from clusters.models import Cluster
from clusters.selectors import certificates as reads
from clusters.selectors import cluster_named, clusters_visible, source_of
from clusters.selectors.certificates import CertificateRow
from clusters.services import certificates as services

LOG_SHOWN = 12
_FORMS = ("upload", "endpoint", "by_hand", "key", "policy")


@require_safe
@requires(Right.SEE_LAG)
def certificate_list(request: HttpRequest) -> HttpResponse:
    """Every certificate in use: who signed whom, when each ends, what is served where."""
    names = list(clusters_visible(request.user).values_list("name", flat=True))
    cluster = request.GET.get("cluster", "")
    wanted = cluster if cluster in names else None
    rows = reads.certificates(request.user, wanted)
    everything = scope_of(request.user).everything
    listeners = reads.listeners(request.user, wanted)
    context = {
        "clusters": names,
        "cluster": wanted,
        "nodes": tree_of(rows),
        "ticks": ticks(),
        "drifting": [row for row in rows if row.drift is not None and row.drift.newer],
        "stale_files": [row for row in rows if row.drift is not None and not row.drift.newer],
        "listeners": listeners,
        "looking": any(one.looking for one in listeners),
        "keys": reads.keys(request.user, wanted),
        "files": reads.files(request.user, wanted),
        "rotations": reads.rotations(request.user, wanted, LOG_SHOWN),
        "policies": reads.policies(),
        "read_at": reads.read_at(wanted) if everything else None,
        "everything": everything,
        "may_change": may(request.user, Right.CHANGE_GROUP_SETTINGS),
        "manage": wanted or (names[0] if len(names) == 1 else ""),
        "sentence": sentence(rows),
        "red": sum(1 for row in rows if _needs_somebody(row)),
        "at": reads.now(),
    }
    return render(request, "clusters/certificate_list.html", context)


@require_safe
@requires(Right.SEE_LAG)
def certificate_detail(request: HttpRequest, cluster: str, pk: int) -> HttpResponse:
    """One certificate: its chain link by link, its facts, who uses it."""
    row = reads.certificate_of(request.user, cluster, pk)
    if row is None:
        raise Http404("no such certificate")
    return _detail(request, row)


@require_safe
@requires(Right.SEE_CLUSTERS)
def rotation_list(request: HttpRequest, cluster: str) -> HttpResponse:
    """The whole rotation log of a cluster, newest first."""
    found = _cluster(request, cluster)
    rows = reads.rotations(request.user, found.name, 1000)
    return render(request, "clusters/certificate_rotations.html", {"cluster": found, "rotations": rows})


@require_safe
@requires(Right.CHANGE_GROUP_SETTINGS)
def certificate_manage(request: HttpRequest, cluster: str) -> HttpResponse:
    """Everything that people enter: files, endpoints, certificates managed elsewhere, keys, policies."""
    return _manage(request, _cluster(request, cluster))


@require_POST
@requires(Right.CHANGE_GROUP_SETTINGS)
def certificate_upload(request: ApiRequest, cluster: str) -> HttpResponse:
    def write(found: Cluster, data: dict[str, Any]) -> str:
        file = data["file"]
        if file.size > LARGEST_BUNDLE:
            raise ValidationError({"file": [f"A bundle has at most {LARGEST_BUNDLE // 1024 // 1024} MB."]})
        row = services.file_upload(
            cluster=found, name=file.name, data=file.read(), password=data["password"], trusted=data["trusted"],
            acting_user=request.user,
        )  # fmt: skip
        return f"{row.name} holds {len(row.fingerprints)} certificate{'' if len(row.fingerprints) == 1 else 's'}."

    return _entered(request, cluster, "upload", write)


@require_POST
@requires(Right.CHANGE_GROUP_SETTINGS)
def endpoint_add(request: ApiRequest, cluster: str) -> HttpResponse:
    def write(found: Cluster, data: dict[str, Any]) -> str:
        row = services.endpoint_add(cluster=found, **data, acting_user=request.user)
        if services.probe_request(listener=row):
            tasks.probe_soon(row.pk)
        return f"{row} is watched."

    return _entered(request, cluster, "endpoint", write)


@require_POST
@requires(Right.CHANGE_GROUP_SETTINGS)
def certificate_by_hand(request: ApiRequest, cluster: str) -> HttpResponse:
    def write(found: Cluster, data: dict[str, Any]) -> str:
        return f"{services.certificate_by_hand(cluster=found, **data, acting_user=request.user)} is watched."

    return _entered(request, cluster, "by_hand", write)


@require_POST
@requires(Right.CHANGE_GROUP_SETTINGS)
def key_enter(request: ApiRequest, cluster: str) -> HttpResponse:
    def write(found: Cluster, data: dict[str, Any]) -> str:
        return f"The key {services.key_record(cluster=found, **data, acting_user=request.user)} is entered."

    return _entered(request, cluster, "key", write)


@require_POST
@requires(Right.CHANGE_GROUP_SETTINGS)
def policy_change(request: ApiRequest, cluster: str) -> HttpResponse:
    def write(found: Cluster, data: dict[str, Any]) -> str:
        return f"The policy of {services.policy_change(**data, acting_user=request.user)} certificates is set."

    return _entered(request, cluster, "policy", write)


@require_POST
@requires(Right.CHANGE_GROUP_SETTINGS)
def certificate_change(request: ApiRequest, cluster: str, pk: int) -> HttpResponse:
    row = reads.certificate_of(request.user, cluster, pk)
    if row is None:
        raise Http404("no such certificate")
    form = ChangeForm(request.POST)
    if not form.is_valid():
        return _detail(request, row, form)
    services.certificate_change(row=row.stored, **form.cleaned_data, acting_user=request.user)
    messages.success(request, "Saved.")
    return redirect("clusters:certificate-detail", cluster, pk)


@require_POST
@requires(Right.CHANGE_GROUP_SETTINGS)
def entry_remove(request: ApiRequest, cluster: str, what: str, pk: int) -> HttpResponse:
    """Take out a file, an endpoint, a key or a certificate entered by hand."""
    found = _cluster(request, cluster)
    removers: dict[str, tuple[Any, Callable[..., None]]] = {
        "file": (
            next((one for one in reads.files(request.user, found.name) if one.pk == pk), None),
            services.file_remove,
        ),
        "endpoint": (reads.listener_of(request.user, found.name, pk), services.endpoint_remove),
        "key": (reads.key_of(request.user, found.name, pk), services.key_remove),
        "certificate": (_stored(reads.certificate_of(request.user, found.name, pk)), services.certificate_remove),
    }
    row, remove = removers.get(what, (None, services.key_remove))
    if row is None:
        raise Http404("nothing to remove")
    try:
        remove(row=row, acting_user=request.user)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, f"{row} is watched no longer.")
    return redirect("clusters:certificate-manage", cluster)


@require_POST
@requires(Right.SEE_CLUSTERS)
def listener_probe(request: ApiRequest, cluster: str, pk: int) -> HttpResponse:
    """Look at a listener now, at most once a minute. The page hears of the result by push."""
    row = reads.listener_of(request.user, cluster, pk)
    if row is None:
        raise Http404("no such listener")
    if services.probe_request(listener=row):
        tasks.probe_soon(row.pk)
        messages.success(request, f"{row} is being looked at.")
    else:
        messages.error(request, f"{row} was looked at less than a minute ago.")
    return redirect(f"{reverse('clusters:certificates')}?cluster={cluster}#listeners")


def sentence(rows: list[CertificateRow]) -> str:
    """The page's verdict in one sentence."""
    if not rows:
        return "No certificate is known yet."
    broken = [
        row for row in rows if row.verdict not in {ChainVerdict.OK, ChainVerdict.UNVERIFIED, ChainVerdict.EXPIRED}
    ]
    drifting = [row for row in rows if row.drift is not None and row.drift.newer]
    expired = [row for row in rows if row.band is Band.EXPIRED]
    due = [row for row in rows if row.band not in {Band.OK, Band.UNKNOWN, Band.EXPIRED}]
    parts = []
    if drifting:
        parts.append(f"{len(drifting)} renewed on disk and not served ({drifting[0].title})")
    if expired:
        parts.append(f"{len(expired)} of {len(rows)} expired ({expired[0].title})")
    if broken:
        parts.append(f"{len(broken)} whose chain does not hold ({broken[0].title})")
    if due:
        parts.append(f"{len(due)} of {len(rows)} to be rotated, first {due[0].title} in {due[0].days_left:.0f} days")
    if not parts:
        return f"All {len(rows)} hold; the first to end is {rows[0].title} in {rows[0].days_left:.0f} days."
    return f"{'; '.join(parts)}."


def _needs_somebody(row: CertificateRow) -> bool:
    bad = row.verdict not in {ChainVerdict.OK, ChainVerdict.UNVERIFIED}
    return bad or row.band not in {Band.OK, Band.UNKNOWN, Band.ROTATE} or (row.drift is not None and row.drift.newer)


def _stored(row: CertificateRow | None) -> Any:
    return None if row is None else row.stored


def _cluster(request: HttpRequest, name: str) -> Cluster:
    found = cluster_named(request.user, name)
    if found is None:
        raise Http404("no such cluster")
    return found


def _detail(request: HttpRequest, row: CertificateRow, form: forms.Form | None = None) -> HttpResponse:
    everything = scope_of(request.user).everything
    listeners = [one for one in reads.listeners(request.user, row.cluster) if one.place in row.served_on]
    by_print = {one.fingerprint: one for one in reads.certificates(request.user, row.cluster)}
    links = [
        {**link, "row": by_print.get(link["fingerprint"]), "bad": bool(link["defects"])} for link in row.stored.links
    ]
    signed = [one for one in by_print.values() if one.parent == row.fingerprint and one.id != row.id]
    initial = {"kind": row.kind.value, "principal": row.stored.principal, "owner": row.owner, "note": row.stored.note}
    context = {
        "row": row, "links": list(reversed(links)), "listeners": listeners, "signed": signed, "everything": everything,
        "facts": row.stored.facts, "remarks": row.stored.remarks,
        "log": reads.rotations_of(request.user, row.cluster, row.fingerprint),
        "may_change": may(request.user, Right.CHANGE_GROUP_SETTINGS), "form": form or ChangeForm(initial=initial),
    }  # fmt: skip
    return render(request, "clusters/certificate_detail.html", context, status=422 if form else 200)


def _entered(
    request: ApiRequest, cluster: str, name: str, write: Callable[[Cluster, dict[str, Any]], str]
) -> HttpResponse:
    """Take one of the forms: write and say so, or show the page with what is wrong."""
    found = _cluster(request, cluster)
    form = _forms(request, found, bound=name)[name]
    if form.is_valid():
        try:
            said = write(found, form.cleaned_data)
        except ValidationError as error:
            _explain(form, error)
        else:
            messages.success(request, said)
            return redirect("clusters:certificate-manage", cluster)
    return _manage(request, found, name, form)


def _explain(form: forms.Form, error: ValidationError) -> None:
    for field, texts in (error.message_dict if hasattr(error, "error_dict") else {"": error.messages}).items():
        for text in texts:
            form.add_error(field if field in form.fields else None, text)


def _forms(request: HttpRequest, cluster: Cluster, bound: str = "") -> dict[str, forms.Form]:
    given = (request.POST, request.FILES)
    clients = clients_visible(request.user)
    made: dict[str, forms.Form] = {}
    kinds: dict[str, Callable[..., forms.Form]] = {
        "upload": UploadForm, "endpoint": EndpointForm, "by_hand": ByHandForm, "key": KeyForm, "policy": PolicyForm,
    }  # fmt: skip
    for name in _FORMS:
        more: dict[str, Any] = {"clients": clients} if name == "by_hand" else {}
        args: tuple[Any, ...] = given if name == bound else ()
        made[name] = kinds[name](*args, prefix=name, **more)
    return made


def _manage(request: HttpRequest, cluster: Cluster, bound: str = "", form: forms.Form | None = None) -> HttpResponse:
    made = _forms(request, cluster)
    if form is not None:
        made[bound] = form
    context = {
        "cluster": cluster, "forms": made, "files": reads.files(request.user, cluster.name),
        "endpoints": [one for one in reads.listeners(request.user, cluster.name) if one.origin == "hand"],
        "keys": reads.keys(request.user, cluster.name), "policies": reads.policies(),
        "by_hand": [one for one in reads.certificates(request.user, cluster.name) if one.fingerprint is None],
        "source": source_of(cluster, reads.SOURCE_KIND),
    }  # fmt: skip
    return render(request, "clusters/certificate_manage.html", context, status=422 if form else 200)

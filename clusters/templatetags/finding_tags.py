"""Where a finding leads to."""

from urllib.parse import quote

from django import template
from django.urls import reverse

from clusters.selectors.findings import FindingRow
from ops_portal.lib.names import path_name

register = template.Library()
_OF_ONE_CERTIFICATE = {"certificate_expiry", "certificate_drift", "certificate_same_key"}
_ON_CERTIFICATES = {
    "certificate_chain": "listeners", "certificate_unchecked": "listeners", "certificate_file": "h-files",
    "key_rotation": "h-keys",
}  # fmt: skip


@register.simple_tag
def finding_link(row: FindingRow) -> str:
    """The address of what a finding is about; empty where no page tells more."""
    if row.kind == "history_failing":
        return reverse("clusters:sources")
    if row.kind in {"rejection_burst", "schema_rejected"}:
        return f"{reverse('clusters:rejections')}?period=7d&q={quote(str(row.inputs.get('subject') or row.entity))}"
    if row.cluster is None:
        return ""
    if row.kind == "health":
        return f"{reverse('clusters:health-detail', args=[row.cluster])}#signal-{row.inputs.get('signal', '')}"
    if row.kind in _OF_ONE_CERTIFICATE:
        return reverse("clusters:certificate-detail", args=[row.cluster, int(row.dedupe_key.split(":")[1])])
    if row.kind in _ON_CERTIFICATES:
        return f"{reverse('clusters:certificates')}?cluster={row.cluster}#{_ON_CERTIFICATES[row.kind]}"
    if row.kind == "slo_breach":
        name = row.entity.removeprefix("group ")
        if path_name(name, 0) != name:  # names that a path cannot hold are found on the board
            return f"{reverse('lag:group-board', args=[row.cluster])}?q={quote(name)}"
        return reverse("lag:group-detail", args=[row.cluster, name])
    return ""

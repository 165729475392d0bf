"""Every change to certificates, listeners, files, keys and policies."""

from clusters.services.certificates.entries import (
    certificate_by_hand,
    certificate_change,
    certificate_remove,
    endpoint_add,
    endpoint_remove,
    key_record,
    key_remove,
    policy_change,
)
from clusters.services.certificates.files import file_remove, file_upload
from clusters.services.certificates.polling import (
    listeners_probe,
    poll_certificates,
    probe_request,
    register_source,
)

__all__ = [
    "certificate_by_hand",
    "certificate_change",
    "certificate_remove",
    "endpoint_add",
    "endpoint_remove",
    "file_remove",
    "file_upload",
    "key_record",
    "key_remove",
    "listeners_probe",
    "policy_change",
    "poll_certificates",
    "probe_request",
    "register_source",
]

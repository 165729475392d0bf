"""Addresses of sources and findings."""

from django.urls import path

from clusters import admin
from clusters.views import certificates, findings, health, load_tests, polling, rejections, schemas

app_name = "clusters"
urlpatterns = [
    path("clusters", health.health_list, name="health"),
    path("clusters/<slug:cluster>", health.health_detail, name="health-detail"),
    path("clusters/<slug:cluster>/signals/<slug:signal>/figure", health.signal_figure, name="health-figure"),
    path("targets", health.targets, name="targets"),
    path("sources", polling.source_list, name="sources"),
    path("sources/<slug:cluster>/<slug:kind>", polling.source_detail, name="source-detail"),
    path("findings", findings.finding_list, name="findings"),
    path("certificates", certificates.certificate_list, name="certificates"),
    path("certificates/<slug:cluster>/add", certificates.certificate_manage, name="certificate-manage"),
    path("certificates/<slug:cluster>/upload", certificates.certificate_upload, name="certificate-upload"),
    path("certificates/<slug:cluster>/endpoints", certificates.endpoint_add, name="certificate-endpoint-add"),
    path("certificates/<slug:cluster>/by-hand", certificates.certificate_by_hand, name="certificate-by-hand"),
    path("certificates/<slug:cluster>/keys", certificates.key_enter, name="certificate-key-enter"),
    path("certificates/<slug:cluster>/policy", certificates.policy_change, name="certificate-policy"),
    path("certificates/<slug:cluster>/rotations", certificates.rotation_list, name="certificate-rotations"),
    path(
        "certificates/<slug:cluster>/remove/<slug:what>/<int:pk>",
        certificates.entry_remove,
        name="certificate-entry-remove",
    ),
    path("certificates/<slug:cluster>/listeners/<int:pk>/probe", certificates.listener_probe, name="listener-probe"),
    path("certificates/<slug:cluster>/<int:pk>", certificates.certificate_detail, name="certificate-detail"),
    path("certificates/<slug:cluster>/<int:pk>/change", certificates.certificate_change, name="certificate-change"),
    path("rejections", rejections.rejection_list, name="rejections"),
    path("rejections.csv", rejections.rejection_csv, name="rejections-csv"),
    path("rejections/<int:pk>", rejections.rejection_detail, name="rejection-detail"),
    path("schemas", schemas.schema_list, name="schemas"),
    path("schemas/<int:pk>", schemas.schema_detail, name="schema-detail"),
    path("load-tests", load_tests.load_test_list, name="load-tests"),
    path("load-tests/import", load_tests.load_test_import, name="load-test-import"),
    path("load-tests/compare", load_tests.load_test_compare, name="load-test-compare"),
    path("load-tests/compare/figures", load_tests.load_test_compare_figures, name="load-test-compare-figures"),
    path("load-tests/<int:pk>", load_tests.load_test_detail, name="load-test-detail"),
    path("load-tests/<int:pk>/progress", load_tests.load_test_progress, name="load-test-progress"),
    path("load-tests/<int:pk>/figures", load_tests.load_test_figures, name="load-test-figures"),
    path("load-tests/<int:pk>/cancel", load_tests.load_test_cancel_view, name="load-test-cancel"),
    path("load-tests/<int:pk>/remove", load_tests.load_test_remove_view, name="load-test-remove"),
    path("admin/clusters", admin.cluster_list, name="cluster-list"),
    path("admin/clusters/add", admin.cluster_add, name="cluster-add"),
    path("admin/clusters/<slug:cluster>/settings", admin.cluster_detail, name="cluster-detail"),
    path("admin/clusters/<slug:cluster>/remove", admin.cluster_remove, name="cluster-remove"),
    path("admin/clusters/<slug:cluster>/sources/<slug:kind>", admin.source_change, name="cluster-source"),
]

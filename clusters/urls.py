"""Addresses of sources and findings."""

from django.urls import path

from clusters import admin
from clusters.views import findings, polling, rejections, schemas

app_name = "clusters"
urlpatterns = [
    path("sources", polling.source_list, name="sources"),
    path("sources/<slug:cluster>/<slug:kind>", polling.source_detail, name="source-detail"),
    path("findings", findings.finding_list, name="findings"),
    path("rejections", rejections.rejection_list, name="rejections"),
    path("rejections.csv", rejections.rejection_csv, name="rejections-csv"),
    path("rejections/<int:pk>", rejections.rejection_detail, name="rejection-detail"),
    path("schemas", schemas.schema_list, name="schemas"),
    path("schemas/<int:pk>", schemas.schema_detail, name="schema-detail"),
    path("admin/clusters", admin.cluster_list, name="cluster-list"),
    path("admin/clusters/add", admin.cluster_add, name="cluster-add"),
    path("admin/clusters/<slug:cluster>/settings", admin.cluster_detail, name="cluster-detail"),
    path("admin/clusters/<slug:cluster>/remove", admin.cluster_remove, name="cluster-remove"),
    path("admin/clusters/<slug:cluster>/sources/<slug:kind>", admin.source_change, name="cluster-source"),
]

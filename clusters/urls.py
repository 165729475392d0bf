"""Addresses of sources and findings."""

from django.urls import path

from clusters import views

app_name = "clusters"
urlpatterns = [
    path("sources", views.source_list, name="sources"),
    path("sources/<slug:cluster>/<slug:kind>", views.source_detail, name="source-detail"),
    path("findings", views.finding_list, name="findings"),
]

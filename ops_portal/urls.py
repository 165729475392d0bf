"""All routes of the portal."""

from django.urls import include, path

from ops_portal import api_docs, metrics, pages, views
from ops_portal.api import api

urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("", pages.home, name="home"),
    path("search", pages.search, name="search"),
    path("", include("accounts.urls")),
    path("", include("clusters.urls")),
    path("", include("lag.urls")),
    path("docs", pages.docs, name="docs"),
    path("docs/<str:name>", pages.docs, name="docs-page"),
    path("docs/pictures/<str:name>", pages.docs_picture, name="docs-picture"),
    path("patterns", pages.patterns, name="patterns"),
    path("api/v1/docs", api_docs.reference, name="api-docs"),
    path("api/v1/", api.urls),
]
handler400 = "ops_portal.errors.bad_request"
handler403 = "ops_portal.errors.permission_denied"
handler404 = "ops_portal.errors.page_not_found"
handler500 = "ops_portal.errors.server_error"

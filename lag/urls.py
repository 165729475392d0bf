"""Addresses of the lag pages."""

from django.urls import path

from lag.views import board, clients, events, group, rows, settings, slos, topics

app_name = "lag"
_GROUP = "lag/<slug:cluster>/groups/<str:group>"
urlpatterns = [
    path("lag", board.board, name="board"),
    path("lag/<slug:cluster>", board.group_board, name="group-board"),
    path("lag/<slug:cluster>/export.csv", board.board_export, {"form": "csv"}, name="group-board-csv"),
    path("lag/<slug:cluster>/export.json", board.board_export, {"form": "json"}, name="group-board-json"),
    path("lag/<slug:cluster>/rows", rows.group_rows, name="group-rows"),
    path("lag/<slug:cluster>/sparklines", board.sparklines, name="group-sparklines"),
    path("lag/<slug:cluster>/spark", board.cluster_spark, name="cluster-spark"),
    path(_GROUP, group.group_detail, name="group-detail"),
    path(f"{_GROUP}/history", group.group_history, name="group-history"),
    path(f"{_GROUP}/crash", group.group_crash, name="group-crash"),
    path(f"{_GROUP}/settings", settings.group_settings, name="group-settings"),
    path(f"{_GROUP}/mute", settings.group_mute, name="group-mute"),
    path("history-status", board.history_status, name="history-status"),
    path("events", events.event_list, name="events"),
    path("topics", topics.topic_list, name="topics"),
    path("topics/<slug:cluster>/<str:topic>", topics.topic_detail, name="topic-detail"),
    path("slos", slos.slo_list, name="slos"),
    path("slos/add", slos.slo_add, name="slo-add"),
    path("slos/<int:pk>", slos.slo_change, name="slo-change"),
    path("slos/<int:pk>/remove", slos.slo_remove, name="slo-remove"),
    path("clients", clients.client_list, name="clients"),
    path("clients/<int:pk>", clients.client_detail, name="client-detail"),
    path("clients/<int:pk>/notes", clients.client_notes, name="client-notes"),
]

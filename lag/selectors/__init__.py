"""Reads of lag. The first argument is the user; what the user may not see does not exist."""

from lag.selectors.board import SORT_FIELDS, BadCursor, BadSort, group_board, verdict_counts
from lag.selectors.clusters import cluster_named, cluster_summaries, clusters_visible, topics
from lag.selectors.detail import group_by_path, group_detail, group_events, group_member_list
from lag.selectors.events import EventQuery, events_visible
from lag.selectors.history import BadRange, group_history, history_status, sparklines
from lag.selectors.slos import slos, slos_of_group

__all__ = [
    "SORT_FIELDS",
    "BadCursor",
    "BadRange",
    "BadSort",
    "EventQuery",
    "cluster_named",
    "cluster_summaries",
    "clusters_visible",
    "events_visible",
    "group_board",
    "group_by_path",
    "group_detail",
    "group_events",
    "group_history",
    "group_member_list",
    "history_status",
    "slos",
    "slos_of_group",
    "sparklines",
    "topics",
    "verdict_counts",
]

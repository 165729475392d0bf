"""What people have set for groups, by glob: the longest matching glob wins."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase, translate
from functools import lru_cache

from django.conf import settings as django_settings

from accounts.ownership import Matcher, Rule
from accounts.selectors import ownership_rules
from clusters.models import Cluster
from lag.compute.types import LagSettings
from lag.models import GroupSetting


@dataclass(slots=True)
class LagRules:
    """Filters, settings and owners of one cluster, for one poll."""

    default: LagSettings
    settings: list[GroupSetting]  # longest glob first
    group_owners: Matcher
    topic_owners: Matcher
    group_filter: "Filter"
    topic_filter: "Filter"
    _by_glob: dict[int, LagSettings] = field(default_factory=dict)

    def settings_of(self, group: str) -> LagSettings:
        row = longest_match(self.settings, group)
        if row is None:
            return self.default
        known = self._by_glob.get(row.pk)
        if known is None:
            known = self._by_glob[row.pk] = _applied(self.default, row)
        return known

    def group_allowed(self, name: str) -> bool:
        return self.group_filter.allows(name)

    def topic_allowed(self, name: str) -> bool:
        return self.topic_filter.allows(name)


@dataclass(frozen=True, slots=True)
class Filter:
    """Names that match an allow glob (none given = all) and no deny glob."""

    allow: re.Pattern[str] | None
    deny: re.Pattern[str] | None

    @classmethod
    def of(cls, allow: Iterable[str], deny: Iterable[str]) -> "Filter":
        return cls(_any_of(allow), _any_of(deny))

    def allows(self, name: str) -> bool:
        return (self.allow is None or self.allow.match(name) is not None) and (
            self.deny is None or self.deny.match(name) is None
        )


def _any_of(globs: Iterable[str]) -> re.Pattern[str] | None:
    patterns = [translate(glob) for glob in globs]
    return re.compile("|".join(patterns)) if patterns else None


def rules_of(cluster: Cluster, period: float) -> LagRules:
    """Everything that bears on a poll of the cluster and can change at any time; `period` in seconds."""
    rows = sorted(GroupSetting.objects.filter(cluster=cluster), key=lambda row: (-len(row.glob), row.glob))
    return LagRules(
        default_settings(period),
        rows,
        owners_of("group", cluster.name),
        owners_of("topic", cluster.name),
        Filter.of(cluster.group_allow, cluster.group_deny),
        Filter.of(cluster.topic_allow, cluster.topic_deny),
    )


def owners_of(kind: str, cluster_name: str) -> Matcher:
    """Who owns what of one kind; the answers stay remembered from poll to poll while nobody changes a rule."""
    return _matcher(frozenset(ownership_rules(kind, cluster_name)))


@lru_cache(maxsize=64)
def _matcher(rules: frozenset[Rule]) -> Matcher:
    return Matcher.of(rules)


def default_settings(period: float) -> LagSettings:
    """The portal's settings, which hold where nobody has set anything for a group."""
    return LagSettings(
        period=period,
        target_seconds=django_settings.LAG_TARGET_SECONDS,
        stalled_seconds=django_settings.LAG_STALLED_SECONDS,
        stopped_seconds=django_settings.LAG_STOPPED_SECONDS,
        no_commits_seconds=django_settings.LAG_NO_COMMITS_SECONDS,
    )


def longest_match(rows: Iterable[GroupSetting], group: str) -> GroupSetting | None:
    """The setting that holds for a group; `rows` come longest glob first."""
    return next((row for row in rows if fnmatchcase(group, row.glob)), None)


def _applied(default: LagSettings, row: GroupSetting) -> LagSettings:
    return LagSettings(
        period=default.period,
        target_seconds=row.target_seconds or default.target_seconds,
        stalled_seconds=default.stalled_seconds,
        stopped_seconds=default.stopped_seconds,
        no_commits_seconds=default.no_commits_seconds,
        read_committed=row.read_committed,
        commit_interval=row.commit_interval_seconds,
    )


def setting_of(cluster: Cluster, group: str) -> GroupSetting | None:
    """What is set for one group: the row whose glob matches and is longest."""
    rows = GroupSetting.objects.filter(cluster=cluster).select_related("muted_by")
    return longest_match(sorted(rows, key=lambda row: (-len(row.glob), row.glob)), group)


def setting_with_glob(cluster: Cluster, glob: str) -> GroupSetting | None:
    """The row of exactly this glob."""
    return GroupSetting.objects.filter(cluster=cluster, glob=glob).first()

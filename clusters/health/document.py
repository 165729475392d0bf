"""docs/health.md, printed from the table of signals. Pure."""

from clusters.health.judge import threshold_text
from clusters.health.names import METRICS
from clusters.health.slo import SLOS, WINDOW_DAYS
from clusters.health.states import Area, Source
from clusters.promql import Dialect, NotExported, Target, filled
from clusters.signals import SIGNALS, Signal

_INTRODUCTION = """# Health of a cluster

Printed by `manage.py print_health`; do not edit it by hand. {count} signals, declared in `clusters/signals.py`.

Two sources that know nothing of each other are joined: Kafka's admin API with a TCP knock at every broker and controller
(every 5 s), and Prometheus (every 15 s). Of a signal that both tell the worse state holds. **A series that is missing, not
a number or too old makes its signal unknown, never green.** A value counts once it has been bad for the signal's hold
without a break, and stops to count when it is back by a tenth beyond the threshold. A finding is closed after 30 s of ok.

While the cluster's metadata stands still (half of the controllers refuse TCP, or most brokers have heard nothing of them for
5 s) what is said of partitions is unknown, not zero: the brokers that are left repeat what they last heard.

The verdict is critical if any signal is; unknown if a signal marked *essential* is; else the worst of the others.

## Exporters

The dialect is found out by one query and kept per cluster. What an exporter does not export is unknown and says so.

| Dialect | Signals of {served} that it can tell |
|---|---|
{dialects}

Series of several clusters in one Prometheus are told apart by the label `cluster`: the cluster's own name, or the only
value there is. Where neither fits, say `manage.py set_health CLUSTER --label cluster=NAME`. Figures of machines come from
node_exporter, by the host of the broker.

## Targets of the platform

Counted in seconds over {days} days. What could not be told counts for nothing.

| Target | Met while | Objective | |
|---|---|---|---|
{slos}

The canary record is written by `manage.py set_health CLUSTER --canary-topic TOPIC` only; the portal's Kafka user needs WRITE
and DESCRIBE on that topic. Without one availability cannot be told.

## Signals
"""


def printed() -> str:
    """The whole document."""
    served = [signal for signal in SIGNALS if signal.query]
    dialects = "\n".join(f"| {dialect.label} | {_told(served, dialect)} |" for dialect in Dialect)
    slos = "\n".join(
        f"| {slo.title} | {f'below {slo.limit:g} {slo.unit}' if slo.limit is not None else 'see right'} "
        f"| {slo.objective * 100:g} % of the time | {slo.note} |"
        for slo in SLOS
    )
    head = _INTRODUCTION.format(count=len(SIGNALS), served=len(served), dialects=dialects, days=WINDOW_DAYS, slos=slos)
    return head + "".join(_area(area) for area in Area)


def _area(area: Area) -> str:
    of_area = [signal for signal in SIGNALS if signal.area is area]
    return f"\n### Of {area.label}\n" + "".join(map(_signal, of_area))


def _signal(signal: Signal) -> str:
    lines = [f"\n#### {signal.id}\n", f"**{signal.title}**{' (essential)' if signal.essential else ''}. {signal.why}\n"]
    rows = [
        ("Bad", threshold_text(signal)),
        ("Hold", f"{signal.hold:g} s" if signal.hold else "none"),
        ("Unit", signal.unit),
    ]
    rows.append(("Per", signal.scope.value))
    if signal.admin:
        rows.append((Source.BROKERS.value, signal.admin))
    rows += [(where, f"`{query}`") for where, query in _queries(signal)]
    rows.append(("First", signal.do))
    lines.append("| | |\n|---|---|")
    lines += [f"| {name} | {_cell(text)} |" for name, text in rows]
    return "\n".join(lines) + "\n"


def _queries(signal: Signal) -> list[tuple[str, str]]:
    """Dialects that share a query stand in one row."""
    by_query: dict[str, list[str]] = {}
    for dialect in Dialect:
        if signal.query:
            try:
                query = filled(signal.template(dialect), METRICS, Target(dialect))
            except NotExported:
                continue
            by_query.setdefault(query, []).append(dialect.value)
    return [(f"prometheus ({', '.join(names)})", query) for query, names in by_query.items()]


def _told(served: list[Signal], dialect: Dialect) -> int:
    def told(signal: Signal) -> bool:
        try:
            filled(signal.template(dialect), METRICS, Target(dialect))
        except NotExported:
            return False
        return True

    return sum(map(told, served))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")

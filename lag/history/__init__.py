"""Samples of lag over time.

Three levels of partitioned tables share one form, a block of points per (group, topic, block start), topic 0 = the group:

| level  | a point is    | a block is | kept                    |
|--------|---------------|------------|-------------------------|
| raw    | one poll      | a minute   | HISTORY_RAW_HOURS       |
| minute | one minute    | an hour    | HISTORY_MINUTE_DAYS     |
| hour   | one hour      | a day      | HISTORY_HOUR_DAYS       |

A poll appends its changed samples to `HistoryCycle`; `pack` turns closed minutes into raw blocks. A raw point is left out
while nothing changes, but every series has one at its first poll of each hour, so no reader looks back further. A left-out
point holds while the cluster was polled (`HistoryCoverage`); where it was not, or the group was not read (a gap sample),
there is a gap. The rolled-up levels hold every point of a block, gaps as null.
"""

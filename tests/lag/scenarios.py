"""The scenarios that make the labelled corpus: each turns a `Scene`'s knobs and names the verdict that is then true."""

import math
import random
from collections.abc import Callable

from tests.lag.corpus import Scene, Trace

Scenario = Callable[[int], Trace]
LATE = ("falling_behind", "catching_up")


def keeping_up(seed: int) -> Trace:
    scene = Scene(seed, rate=random.Random(seed).choice([5.0, 40.0, 400.0]))
    scene.run(300)
    return scene.trace("keeping_up", "ok")


def idle_topic(seed: int) -> Trace:
    """Nothing is produced, members wait: no alarm, however long."""
    scene = Scene(seed)
    scene.run(30)
    scene.run(600, lambda _: 0.0)
    return scene.trace("idle_topic", "ok")


def quiet_topic(seed: int) -> Trace:
    """A record every minute or two, read at once."""
    scene = Scene(seed, partitions=2)
    for _ in range(8):
        scene.run(0.25, lambda _: 5.0)
        scene.run(scene.random.uniform(50, 110), lambda _: 0.0)
    return scene.trace("quiet_topic", "ok")


def faster_than_poll(seed: int) -> Trace:
    """Commits every half second, polls every ten."""
    scene = Scene(seed, commit_every=0.5, period=10)
    scene.run(400)
    return scene.trace("faster_than_poll", "ok")


def batch_committer(seed: int) -> Trace:
    """Commits once in a while by design, and the portal is told so."""
    every = random.Random(seed).choice([600.0, 1800.0, 3600.0])
    scene = Scene(seed, partitions=2, rate=2.0, commit_every=every, period=15)
    scene.run(2.6 * every)
    return scene.trace("batch_committer", "ok", commit_interval=every * 1.05)


def learned_batch_committer(seed: int) -> Trace:
    """Commits every half minute: not told, learned."""
    every = random.Random(seed).uniform(25, 38)
    scene = Scene(seed, commit_every=every)
    scene.run(20 * every)
    return scene.trace("learned_batch_committer", "ok", *LATE)


def rebalance_duplicate(seed: int) -> Trace:
    """A member joins; in the rebalance the last commit is made once more, a little back, then reading goes on."""
    scene = Scene(seed)
    scene.run(120)
    scene.state = "preparing_rebalance"
    scene.reading = False
    scene.run(4)
    for index, key in enumerate(scene.keys):
        offset = (scene.committed[index] or 0) - scene.random.randint(0, 30)
        scene.committed[index] = offset
        scene.commits.append((scene.now, key, offset))
    scene.run(3)
    scene.join("member-1", "member-2", "member-5")
    scene.reading = True
    scene.run(120)
    return scene.trace("rebalance_duplicate", "ok")


def restarts(seed: int) -> Trace:
    """A group that restarts now and then: away for some seconds, then on."""
    scene = Scene(seed)
    for _ in range(4):
        scene.run(90)
        scene.leave()
        scene.run(scene.random.uniform(8, 20))
        scene.state, scene.members = "preparing_rebalance", ["member-8"]
        scene.reading = False
        scene.run(3)
        scene.reading = True
        scene.join("member-8", "member-9")
    scene.run(60)
    return scene.trace("restarts", "ok")


def transaction_markers(seed: int) -> Trace:
    """Everything is read, but a commit marker stands at the end of each partition."""
    scene = Scene(seed)
    scene.markers = scene.random.choice([1, 2])
    scene.run(30)
    scene.run(600, lambda _: 0.0)
    return scene.trace("transaction_markers", "ok")


def bursty(seed: int) -> Trace:
    """Short bursts that take a few seconds to read."""
    scene = Scene(seed)
    scene.speed = 200.0
    scene.run(400, lambda passed: 600.0 if passed % 60 < 5 else 20.0)
    return scene.trace("bursty", "ok")


def standalone(seed: int) -> Trace:
    """Commits without ever being a member: the group is always empty."""
    scene = Scene(seed, commit_every=10)
    scene.state = "empty"
    scene.run(400)
    for poll in scene.polls:
        poll.members = []
    return scene.trace("standalone", "ok")


def finished_job(seed: int) -> Trace:
    """Read everything and left; the topic is quiet since."""
    scene = Scene(seed)
    scene.run(100)
    scene.run(15, lambda _: 0.0)
    scene.leave()
    scene.run(300, lambda _: 0.0)
    return scene.trace("finished_job", "ok")


def daily_shape(seed: int) -> Trace:
    scene = Scene(seed)
    scene.run(500, lambda passed: 60 + 50 * math.sin(passed / 40))
    return scene.trace("daily_shape", "ok")


def stall(seed: int) -> Trace:
    """Members stay, nothing is read any more."""
    scene = Scene(seed, rate=random.Random(seed).choice([5.0, 50.0]))
    scene.run(200)
    scene.reading = False
    scene.run(scene.random.uniform(110, 300))
    return scene.trace("stall", "stalled", "falling_behind")


def stall_then_idle(seed: int) -> Trace:
    """Members hang, and producers stop soon after: the unread records stay unread."""
    scene = Scene(seed)
    scene.run(150)
    scene.reading = False
    scene.run(30)
    scene.run(200, lambda _: 0.0)
    return scene.trace("stall_then_idle", "stalled", "falling_behind")


def poison_record(seed: int) -> Trace:
    """One partition is stuck, the others go on."""
    scene = Scene(seed, partitions=6)
    scene.run(150)
    scene.stuck.add(scene.random.randrange(6))
    scene.run(200)
    return scene.trace("poison_record", "stalled", "falling_behind")


def reads_without_commits(seed: int) -> Trace:
    """Reading goes on, commits have stopped."""
    scene = Scene(seed)
    scene.run(150)
    scene.committing = False
    scene.run(200)
    return scene.trace("reads_without_commits", "stalled", "falling_behind")


def stop(seed: int) -> Trace:
    scene = Scene(seed, rate=random.Random(seed).choice([3.0, 40.0]))
    scene.run(150)
    scene.leave()
    scene.run(scene.random.uniform(60, 300))
    return scene.trace("stop", "stopped", "falling_behind")


def stop_with_backlog(seed: int) -> Trace:
    """Stopped behind; nothing new is produced either."""
    scene = Scene(seed)
    scene.speed = 20.0
    scene.run(120)
    scene.leave()
    scene.run(200, lambda _: 0.0)
    return scene.trace("stop_with_backlog", "stopped", "falling_behind")


def stopped_from_the_start(seed: int) -> Trace:
    """The portal first sees the group when it is long dead."""
    scene = Scene(seed)
    scene.leave()
    scene.ends = [end + 5000 for end in scene.ends]
    scene.run(120, lambda _: scene.random.choice([0.0, 20.0]))
    return scene.trace("stopped_from_the_start", "stopped", "falling_behind")


def slow(seed: int) -> Trace:
    """Reads, but slower than is produced."""
    scene = Scene(seed)
    scene.speed = scene.rate * scene.random.uniform(0.3, 0.75)
    scene.run(scene.random.uniform(300, 600))
    return scene.trace("slow", "falling_behind")


def slow_batches(seed: int) -> Trace:
    """Slower than is produced and commits every 20 s only."""
    scene = Scene(seed, commit_every=20)
    scene.speed = scene.rate * 0.5
    scene.run(500)
    return scene.trace("slow_batches", "falling_behind")


def catching_up(seed: int) -> Trace:
    """Fell behind, then reads faster than is produced."""
    scene = Scene(seed)
    scene.speed = scene.rate * 0.3
    scene.run(400)
    scene.speed = scene.rate * scene.random.uniform(1.3, 1.6)
    scene.run(scene.random.uniform(140, 200))
    return scene.trace("catching_up", "catching_up", "falling_behind")


def caught_up_again(seed: int) -> Trace:
    """A stop, a restart, and everything is read again."""
    scene = Scene(seed)
    scene.run(150)
    scene.leave()
    scene.run(100)
    scene.join()
    scene.run(150)
    return scene.trace("caught_up_again", "ok", "stopped", *LATE)


def rewound(seed: int) -> Trace:
    """Reset far back, reads the past again for long."""
    scene = Scene(seed, rate=20.0)
    scene.run(150)
    scene.leave()
    scene.run(10)
    scene.set_offsets(-scene.random.randint(6000, 9000))
    scene.run(6)
    scene.join()
    scene.speed = 40.0
    scene.run(100)
    return scene.trace("rewound", "rewound", "stopped", *LATE)


def rewound_and_recovered(seed: int) -> Trace:
    scene = Scene(seed, rate=20.0)
    scene.run(150)
    scene.leave()
    scene.run(8)
    scene.set_offsets(-4000)
    scene.run(6)
    scene.join()
    scene.speed = 400.0
    scene.run(120)
    return scene.trace("rewound_and_recovered", "ok", "rewound", "stopped", *LATE)


def seeks_back(seed: int) -> Trace:
    """A running member seeks back and commits; no rebalance."""
    scene = Scene(seed, rate=20.0)
    scene.run(150)
    scene.speed = 30.0
    scene.set_offsets(-4000)
    scene.run(60)
    return scene.trace("seeks_back", "rewound", *LATE)


def retention_loss(seed: int) -> Trace:
    """Stopped for so long that retention deletes what was not read."""
    scene = Scene(seed)
    scene.run(100)
    scene.leave()
    scene.run(120)
    scene.retain(500)
    scene.run(60)
    return scene.trace("retention_loss", "truncated", "stopped", "falling_behind")


def retention_while_slow(seed: int) -> Trace:
    """Retention overtakes a slow group; its next commit jumps to the log start and it stays slow."""
    scene = Scene(seed)
    scene.speed = 8.0
    scene.run(300)
    scene.stuck = {0, 1, 2}
    scene.retain(1500)
    scene.run(30)
    return scene.trace("retention_while_slow", "truncated", *LATE)


def no_commits(seed: int) -> Trace:
    """Members are there, records too, nothing was ever committed."""
    scene = Scene(seed)
    scene.committed = [None] * len(scene.keys)
    scene.committing = False
    scene.run(scene.random.uniform(90, 200))
    return scene.trace("no_commits", "no_commits")


def single_commit(seed: int) -> Trace:
    """One commit, everything read, no more records."""
    scene = Scene(seed, commit_every=10_000)
    scene.committed = [None] * len(scene.keys)
    scene.run(20)
    scene.run(2, lambda _: 0.0)
    scene.commit()
    scene.run(400, lambda _: 0.0)
    return scene.trace("single_commit", "ok")


def skipped_to_end(seed: int) -> Trace:
    """Stopped, reset to the end, started again: no alarm stays."""
    scene = Scene(seed)
    scene.run(100)
    scene.leave()
    scene.run(60)
    scene.set_offsets(to="end")
    scene.join()
    scene.run(90)
    return scene.trace("skipped_to_end", "ok", "stopped", *LATE)


def short_hiccup(seed: int) -> Trace:
    """A pause of some seconds, as a garbage collection or a slow database makes it."""
    scene = Scene(seed)
    for _ in range(5):
        scene.run(80)
        scene.reading = False
        scene.run(scene.random.uniform(5, 18))
        scene.reading = True
    scene.run(60)
    return scene.trace("short_hiccup", "ok")


def partitions_added(seed: int) -> Trace:
    """The topic grows; the new partitions get their first commits late."""
    scene = Scene(seed)
    scene.run(120)
    scene.keys.append("trades.execution/3")
    scene.ends.append(0.0)
    scene.starts.append(0)
    scene.positions.append(0.0)
    scene.committed.append(None)
    scene.run(120)
    return scene.trace("partitions_added", "ok")


SCENARIOS: tuple[Scenario, ...] = (
    keeping_up, idle_topic, quiet_topic, faster_than_poll, batch_committer, learned_batch_committer, rebalance_duplicate,
    restarts, transaction_markers, bursty, standalone, finished_job, daily_shape, stall, stall_then_idle, poison_record,
    reads_without_commits, stop, stop_with_backlog, stopped_from_the_start, slow, slow_batches, catching_up,
    caught_up_again, rewound, rewound_and_recovered, seeks_back, retention_loss, retention_while_slow, no_commits,
    single_commit, skipped_to_end, short_hiccup, partitions_added,
)  # fmt: skip


def simulated(variants: int = 5) -> list[Trace]:
    """The simulated corpus: every scenario in so many variants."""
    traces = []
    for number, scenario in enumerate(SCENARIOS):
        for variant in range(variants):
            trace = scenario(1000 * number + variant)
            trace.name = f"{trace.name}-{variant}"
            traces.append(trace)
    return traces

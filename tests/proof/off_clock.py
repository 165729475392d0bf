"""A worker with a wrong clock: `off_clock SECONDS MODULE WORDS...` is `MODULE WORDS...` whose wall clock is off by so much.

Python's clock is moved, not the C library's: under libfaketime the Kafka client waits for ever, because the library knows
nothing of C11's `cnd_timedwait`.
"""

import runpy
import sys
from datetime import UTC, datetime, timedelta

import time_machine

if __name__ == "__main__":
    wrong = datetime.now(UTC) + timedelta(seconds=float(sys.argv.pop(1)))
    time_machine.travel(wrong, tick=True).start()
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)

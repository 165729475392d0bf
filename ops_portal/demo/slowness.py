"""Slows a process of the demo down: SIGSTOP and SIGCONT by turns, or SIGSTOP until told to stop."""

import contextlib
import os
import signal
import time

from ops_portal.demo.guests import Steered

STOPPED_SECONDS, RUNNING_SECONDS = 0.8, 0.2  # far from the session timeout of a broker, which is 6 s


def hamper(pid: int, steering: Steered, *, frozen: bool) -> None:
    """Until SIGTERM or the end of the process. It always runs freely afterwards."""
    steering.begun()
    try:
        while steering.running():
            os.kill(pid, signal.SIGSTOP)
            time.sleep(STOPPED_SECONDS)
            if not frozen:
                os.kill(pid, signal.SIGCONT)
                time.sleep(RUNNING_SECONDS)
    except ProcessLookupError:
        return
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

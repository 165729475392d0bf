"""A child for the supervisor's tests: `sleeper.py FILE [ignore]` writes its process id to FILE and waits."""

import os
import signal
import sys
import time
from pathlib import Path

if "ignore" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(600)

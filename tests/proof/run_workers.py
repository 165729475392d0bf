"""The portal's poll worker and beat under its supervisor, for tests that hurt them: `run_workers VAR`."""

import sys
from pathlib import Path

from ops_portal.lib import portal
from ops_portal.lib.supervisor import Supervisor

NAMES = ("worker-poll", "beat")

if __name__ == "__main__":
    with Supervisor(Path(sys.argv[1])) as supervisor:
        children = {child.name: child for child in portal.portal_children("127.0.0.1", 8000, poll_threads=4)}
        supervisor.start([children[name] for name in NAMES])
        supervisor.supervise()

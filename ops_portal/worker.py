"""`python -m ops_portal.worker OPTIONS`: Celery's worker command alone. Its whole command line brings a shell of 5 MB along."""

import sys

from celery.bin.base import CLIContext
from celery.bin.worker import worker

from ops_portal.celery import app

if __name__ == "__main__":
    worker.main(sys.argv[1:], prog_name="worker", obj=CLIContext(app=app, no_color=True, workdir=None, quiet=True))

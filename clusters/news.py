"""News of clusters that packages above listen to. Sent on commit, with `sender=Finding`."""

from django.dispatch import Signal

# Arguments: finding (clusters.models.Finding).
finding_opened = Signal()
finding_closed = Signal()

"""News of accounts that packages above listen to. Sent on commit."""

from django.dispatch import Signal

# Arguments: client_ids: frozenset[int]. What belongs to these clients has changed: owners stored elsewhere are out of date.
ownership_changed = Signal()

"""Health of a cluster, pure: what was read, what it means, since when."""

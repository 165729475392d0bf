"""Pages of lag: board, group, topics, SLOs, clients."""

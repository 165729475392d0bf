"""The parts of what a poll stores and a worker loads; lag.services.state puts them together."""

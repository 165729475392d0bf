"""What lag is and what it means: pure functions from Kafka readings to records, seconds, verdicts and events."""

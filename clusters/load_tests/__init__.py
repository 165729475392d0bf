"""Evidence of a load test: what the files of a k6 run say, and whether it keeps what was promised. Pure."""

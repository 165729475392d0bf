"""Glue of the portal: settings, entry points, health. Light to import: the Kafka client's process does so, too."""

"""The demo: a real three-broker Kafka with live traffic of made-up clients, watched by the portal (`manage.py demo`)."""

"""Glue of the portal: settings, entry points, health. The Celery app is loaded with Django, so that tasks find it."""

from ops_portal.celery import app as celery_app

__all__ = ["celery_app"]

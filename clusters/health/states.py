"""Words of health, for whoever reads `clusters.health`; they are declared below it, so that signals may use them too."""

from clusters.health_states import Area, Health, HealthEventKind, Scope, Source, worst

__all__ = ["Area", "Health", "HealthEventKind", "Scope", "Source", "worst"]

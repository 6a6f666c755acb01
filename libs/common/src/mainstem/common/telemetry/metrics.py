"""Metrics: the meter of our own instruments."""

from opentelemetry import metrics


def meter() -> metrics.Meter:
    """Return the meter of our own instruments; their names start with `mainstem_`."""
    return metrics.get_meter("mainstem")

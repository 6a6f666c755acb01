"""Telemetry: set-up, spans, sampling, logs, metrics and the watchdog of the event loop."""

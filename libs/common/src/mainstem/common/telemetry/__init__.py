"""Telemetry of every process. Owns its set-up, spans, sampling, logs, the meter of our metrics and the
watchdog of the event loop. Writes no tables: logs go to standard output, spans to the collector. Imported by
every room that records spans or counts, in common, the services and the demo.
"""

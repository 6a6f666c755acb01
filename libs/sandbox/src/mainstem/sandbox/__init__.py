"""The outside world, offline, on one machine."""

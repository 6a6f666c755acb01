"""Circuit breaker: an upstream that keeps failing gets no requests, but one trial per interval."""

import math
import time

import structlog

from mainstem.common.errors import UnavailableError
from mainstem.common.telemetry import metrics

FAILURES_TO_OPEN = 5
OPEN_SECONDS = 10.0

log = structlog.get_logger()
open_circuits = metrics.meter().create_up_down_counter(
    "mainstem_circuits_open", description="Services that are not asked now, since they kept failing."
)


class CircuitOpenError(UnavailableError):
    """The service failed again and again a moment ago; it is not asked now."""


class Breaker:
    """Stops asking a service that fails: open after some failures in a row, one trial after a while.

    Args:
        name: the service, in metrics and logs.
        failures_to_open: failures in a row.
        open_seconds: time from one trial to the next.
        about: further fields of the log, where a service has one breaker for each of many.
    """

    def __init__(
        self,
        name: str,
        *,
        failures_to_open: int = FAILURES_TO_OPEN,
        open_seconds: float = OPEN_SECONDS,
        **about: str,
    ) -> None:
        self._name = name
        self._about = about
        self._failures_to_open = failures_to_open
        self._open_seconds = open_seconds
        self._failures = 0
        self._next_trial = 0.0

    @property
    def is_failing(self) -> bool:
        """Whether the last answer was a failure."""
        return self._failures > 0

    @property
    def is_open(self) -> bool:
        """Whether the service failed that often in a row."""
        return self._failures >= self._failures_to_open

    def check(self) -> None:
        """Pass if the service may be asked; one caller at a time may when the circuit is open.

        Raises:
            CircuitOpenError: it may not; `Retry-After` says how long it is until the next trial.
        """
        if not self.is_open:
            return
        now = time.monotonic()
        if now < self._next_trial:
            seconds = max(1, math.ceil(self._next_trial - now))
            raise CircuitOpenError(f"{self._name} is not answering", headers={"Retry-After": str(seconds)})
        self._next_trial = now + self._open_seconds

    def give_trial_back(self) -> None:
        """Let the next caller try at once: the trial that `check` allowed proved nothing."""
        self._next_trial = 0.0

    def record(self, *, ok: bool) -> None:
        """Count an answer: for `Client` any but a 5xx is ok."""
        was_open = self.is_open
        self._failures = 0 if ok else self._failures + 1
        if self.is_open == was_open:
            return
        open_circuits.add(-1 if was_open else 1, {"outside": self._name})
        if was_open:
            log.info("circuit.closed", outside=self._name, **self._about)
        else:
            # Set here alone: an answer that was long on its way must not put the next trial off.
            self._next_trial = time.monotonic() + self._open_seconds
            log.warning("circuit.opened", outside=self._name, failures=self._failures, **self._about)

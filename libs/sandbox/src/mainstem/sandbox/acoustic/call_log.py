"""Log of the calls that the Acoustic stand-in received, each with its answer."""

from collections import deque
from typing import Any

from starlette.datastructures import Headers

from mainstem.common.clock import Clock
from mainstem.sandbox.acoustic.envelope import FaultAnswer, Operation, OperationResult

REMEMBERED = 10_000
"""Maximum number of calls that are kept."""


class CallLog:
    """The calls received, the oldest first; neither credentials nor tokens are kept."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)
        self._number = 0

    def calls(self) -> list[dict[str, Any]]:
        """Return what is remembered."""
        return list(self._calls)

    def clear(self) -> None:
        """Forget the calls; their numbers go on."""
        self._calls.clear()

    def operation(
        self, headers: Headers, operation: Operation, table: str | None, answer: OperationResult
    ) -> None:
        """Remember a call that was understood, with the table's name (None for an unknown one)."""
        self._remember(
            headers,
            operation=operation.name,
            table=table,
            sync_fields=operation.sync_fields,
            created_from=operation.created_from,
            update_if_found=operation.update_if_found,
            rows=list(operation.rows),
            **_outcome(answer),
        )

    def refusal(self, headers: Headers, answer: FaultAnswer) -> None:
        """Remember a request that came to no call: a bad token, bad XML, or one too many."""
        self._remember(headers, operation=None, **_outcome(answer))

    def token(self, headers: Headers, answer: str) -> None:
        """Remember a request for a token: `success`, or OAuth's error code."""
        self._remember(headers, operation="token", answer=answer)

    def _remember(self, headers: Headers, **fields: Any) -> None:
        self._number += 1
        at = self._clock.now().isoformat()
        traceparent = headers.get("traceparent")
        self._calls.append({"number": self._number, "at": at, "traceparent": traceparent, **fields})


def _outcome(answer: OperationResult) -> dict[str, Any]:
    if isinstance(answer, FaultAnswer):
        return {"answer": "fault", "faults": [answer.text]}
    faults = [failure.description for failure in answer.failures]
    return {"answer": "failures" if faults else "success", "faults": faults}

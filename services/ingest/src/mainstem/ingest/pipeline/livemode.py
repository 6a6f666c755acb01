"""Livemode of events: an event of the live side never reaches an account of the test side, nor the reverse.

Live endpoints of Connect receive test events too. https://docs.stripe.com/connect/webhooks
"""

from collections.abc import Callable, Sequence

from mainstem.common.telemetry import metrics
from mainstem.ingest.inbox.claims import ClaimedEvent, Failure
from mainstem.ingest.settings import SIDE_NAMES

REASON = (
    "a {} event at an account of the {} side: nothing was fetched or mirrored; send such events to an account"
    " of their own side, or correct the account's key or `livemode`, then replay"
)

refused = metrics.meter().create_counter(
    "mainstem_events_of_other_side",
    description="Events laid aside because their account is of the other side.",
)


def split_by_livemode(
    events: Sequence[ClaimedEvent], livemode_of: Callable[[ClaimedEvent], bool | None]
) -> tuple[list[ClaimedEvent], list[Failure]]:
    """Return the events that may be read, and a final failure for each event of the other side.

    An event whose side is unknown may be read, as may each event of an account whose side is unknown.
    """
    by_event = [(event, livemode_of(event)) for event in events]
    failures = [
        Failure(
            event, REASON.format(SIDE_NAMES[event.livemode], SIDE_NAMES[livemode]), is_own=True, is_final=True
        )
        for event, livemode in by_event
        if event.livemode is not None and livemode is not None and event.livemode is not livemode
    ]
    refused.add(len(failures))
    own = {failure.event.id for failure in failures}
    return [event for event in events if event.id not in own], failures

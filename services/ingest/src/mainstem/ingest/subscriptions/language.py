"""Language of rule sets: which data a set consists of, its canonical JSON and its digest; pure.

A set that is read back is decoded strictly: an unknown member or value means that a later release wrote it,
and that this one must not derive by it.
"""

from hashlib import sha256
from typing import Literal

import msgspec

Segment = Literal["active", "cancelling", "canceled", "other"]
TimeName = Literal["start_date", "canceled_at", "ended_at", "paused_at"]
Signal = Literal["canceled_at", "cancel_at", "cancel_at_period_end"]


class Conclusion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Row of a table of statuses: the conclusion from one entry.

    Attributes:
        holds: whether the owner has the product by such an entry.
        counts: whether the entry is considered at all; if not, it yields no product and adds to no count.
        segment: segment of a product whose latest entry this is; None if the entry does not count.
        again: whether the segment gets the prefix `re-` when more than one entry counts.
        since: times of the entry, of which the first that is known dates the segment; else its creation.
        reason: reason of the row, with its source.
    """

    holds: bool
    counts: bool
    segment: Segment | None
    again: bool
    since: tuple[TimeName, ...]
    reason: str

    def __post_init__(self) -> None:
        """Refuse a row that contradicts itself."""
        if self.counts != (self.segment is not None) or (self.holds and not self.counts):
            raise ValueError("a row has a segment if it counts, and counts if it holds")


class RuleSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Named set of rules. The name stands for one digest for ever: changed data needs another name.

    Attributes:
        name: name of the set, as commands and `product_subscription.rules` have it.
        customers: which customers of a link count, per account: the newest by creation and id, or all.
        deleted_customer: how the entries of a deleted customer count: by their status, or by `ended`.
        latest: what decides first which entry is the latest, before period end, creation and ids.
        sub_count: what `sub_count` counts.
        signals: what of a subscription that holds makes it `cancelling`, if any of it is set.
        cancel_at_period_end: what the row's column of this name says: Stripe's flag, or flag or `cancel_at`.
        statuses: rows by Stripe's status.
        paused: rows by the reason of a pause; a pause for another reason has the row of its status.
        cancelling: row of an entry that holds and has a signal.
        ended: row of the entries of a deleted customer.
        unknown: row of every other status.
    """

    name: str
    customers: Literal["newest", "all"]
    deleted_customer: Literal["as they are", "ended"]
    latest: Literal["period end", "holds"]
    sub_count: Literal["items", "subscriptions"]
    signals: tuple[Signal, ...]
    cancel_at_period_end: Literal["flag", "either signal"]
    statuses: dict[str, Conclusion]
    paused: dict[str, Conclusion]
    cancelling: Conclusion
    ended: Conclusion
    unknown: Conclusion

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal digits."""
        return sha256(encode(self).encode()).hexdigest()


def encode(rules: RuleSet) -> str:
    """Return the canonical JSON of a set."""
    return msgspec.json.encode(rules, order="sorted").decode()


def decode(text: str) -> RuleSet:
    """Return the set that a JSON text holds.

    Raises:
        msgspec.DecodeError: the text holds none, or one with members or values that are not known here.
    """
    return _decoder.decode(text)


_decoder = msgspec.json.Decoder(RuleSet)

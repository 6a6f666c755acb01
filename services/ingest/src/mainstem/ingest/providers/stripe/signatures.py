"""Signatures of Stripe's webhooks, verified over the raw bytes (stop 1)."""

import time
from collections.abc import Sequence

import stripe

from mainstem.ingest.providers.protocol import SignatureError

TOLERANCE_SECONDS = 300
SIGNATURE_BYTES = 4 * 1024
"""Of a signature header; Stripe's own have about a hundred for each secret that signs."""


def verify(body: bytes, header: str | None, secrets: Sequence[str]) -> None:
    """Pass if one of the secrets signed these bytes, and lately. Signatures live by machine time.

    Raises:
        SignatureError: none did, or not within 300 s of now, on either side, or the header is too long.
    """
    if header is None:
        raise SignatureError("the Stripe-Signature header is missing")
    if len(header) > SIGNATURE_BYTES:
        raise SignatureError(f"the signature may have {SIGNATURE_BYTES} bytes at most")
    if not any(_is_signed(body, header, secret) for secret in secrets):
        raise SignatureError("the signature does not hold")


def _is_signed(body: bytes, header: str | None, secret: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(body, header, secret, tolerance=TOLERANCE_SECONDS)
        # The SDK bounds the past alone: it takes a signature from next month.
        return _signed_at(header or "") <= time.time() + TOLERANCE_SECONDS
    except (stripe.SignatureVerificationError, ValueError, TypeError):
        # The SDK lets out what comparing or decoding raises: a letter beyond ASCII in the header, for one.
        return False


def _signed_at(header: str) -> int:
    """Return the time that the SDK has checked: the first `t=`."""
    return next(int(part[2:]) for part in header.split(",") if part.startswith("t="))

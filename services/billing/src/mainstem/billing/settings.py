"""Settings of billing, read from its environment."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from pydantic import SecretStr

from mainstem.common import owner
from mainstem.common.settings import ServiceSettings, env

LOOPBACK = ("127.0.0.1", "::1", "localhost")
RETURN_PATH = "/billing/return"
STRIPE_ENDPOINT_SECONDS = 18.0
"""Timeout of endpoints that wait for Stripe: longer than the greatest MAINSTEM_BILLING_WAIT_SECONDS."""
SESSION = "{CHECKOUT_SESSION_ID}"
"""Placeholder that Stripe replaces by the session's id. https://docs.stripe.com/payments/checkout/custom-success-page"""


class Settings(ServiceSettings):
    """Environment of billing: the settings of every service, the prices, and the URLs for browsers."""

    stripe_api_key: SecretStr | None = env(
        "STRIPE_API_KEY", "Key of the account `default`; without it nothing is sold.", default=None
    )
    stripe_api_base: str = env(
        "MAINSTEM_STRIPE_API_BASE", "Any server that speaks Stripe's API.", default="https://api.stripe.com"
    )
    stripe_price_id: str = env(
        "STRIPE_PRICE_ID",
        "What is sold: ids or lookup keys of prices, comma-separated; the first unless a caller names one.",
        default="",
    )
    owner_link: str = env(
        "MAINSTEM_OWNER_LINK",
        "Which field of a customer names its owner, the same as ingest is told.",
        default=owner.DEFAULT,
        pattern=owner.PATTERN,
    )
    public_url: str | None = env(
        "MAINSTEM_PUBLIC_URL", "Base URL under which people's browsers reach the gateway.", default=None
    )
    success_url: str | None = env(
        "MAINSTEM_BILLING_SUCCESS_URL",
        f"Where a browser goes after paying; by default {RETURN_PATH} at MAINSTEM_PUBLIC_URL.",
        default=None,
    )
    cancel_url: str | None = env(
        "MAINSTEM_BILLING_CANCEL_URL",
        "Where it goes after leaving the checkout; by default MAINSTEM_BILLING_RETURN_URL.",
        default=None,
    )
    return_url: str | None = env(
        "MAINSTEM_BILLING_RETURN_URL",
        "Where it goes from the portal and from the return page; by default MAINSTEM_PUBLIC_URL.",
        default=None,
    )
    redirect_origins: str = env(
        "MAINSTEM_BILLING_REDIRECT_ORIGINS",
        "Further origins, comma-separated, that a caller may send a browser back to.",
        default="",
    )
    wait_seconds: float = env(
        "MAINSTEM_BILLING_WAIT_SECONDS",
        "How long a checkout or an operation may take before the caller is told to come again.",
        default=10.0,
        gt=0,
        le=14,
    )
    return_wait_seconds: float = env(
        "MAINSTEM_BILLING_RETURN_WAIT_SECONDS",
        "How long the return page waits for the mirror to hear of a purchase.",
        default=4.0,
        ge=0,
        le=10,
    )

    @property
    def prices(self) -> tuple[str, ...]:
        """Prices that are sold, by id or lookup key, in order."""
        return _words(self.stripe_price_id)

    @property
    def owner_kinds(self) -> frozenset[str]:
        """The kinds of owner that a caller may name."""
        return owner.KINDS | {owner.rule(self.owner_link).kind}

    @property
    def success(self) -> str:
        """URL for the browser after a payment."""
        return self.success_url or f"{(self.public_url or '').rstrip('/')}{RETURN_PATH}?session_id={SESSION}"

    @property
    def home(self) -> str:
        """URL for the browser after the portal and the return page."""
        return self.return_url or self.public_url or ""

    @property
    def cancel(self) -> str:
        """URL for the browser after leaving the checkout."""
        return self.cancel_url or self.home

    @property
    def origins(self) -> frozenset[str]:
        """The origins that a caller may send a browser back to."""
        return frozenset(origin_of(one) for one in (*_words(self.redirect_origins), self.home) if one)

    def contradictions(self) -> list[str]:
        """Return the contradictions between settings, one sentence each."""
        return [*super().contradictions(), *self._problems()]

    def _problems(self) -> Iterator[str]:
        base = urlsplit(self.stripe_api_base)
        if base.scheme != "https" and base.hostname not in LOOPBACK:
            yield "MAINSTEM_STRIPE_API_BASE would carry the API key in clear; use https"
        for name in ("public_url", "success_url", "cancel_url", "return_url"):
            value = getattr(self, name)
            if value is not None and not is_web(value):
                yield f"{type(self).model_fields[name].validation_alias} must be a URL, as in `https://example.com`"
        if self.stripe_api_key and self.prices and not self.public_url:
            missing = [name for name in ("success_url", "return_url") if not getattr(self, name)]
            if missing:
                yield "MAINSTEM_PUBLIC_URL is needed to sell, or all URLs that people come back to"


def is_web(url: str) -> bool:
    """Whether this is an absolute URL that a browser may be sent to."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return False


def origin_of(url: str) -> str:
    """Return a URL's scheme, host and port, in lower case."""
    parts = urlsplit(url.strip())
    return f"{parts.scheme}://{parts.netloc}".lower()


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())

"""Configurations of the billing portal: the features that a customer may use there.

https://docs.stripe.com/api/customer_portal/configurations
"""

from typing import Any

from mainstem.sandbox.stripe.state import listing
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.wire import params, urls
from mainstem.sandbox.stripe.wire.errors import StripeError
from mainstem.sandbox.stripe.wire.form import Tree
from mainstem.sandbox.stripe.wire.paging import ListPage
from mainstem.sandbox.stripe.wire.params import Fields

_KIND = "billing_portal.configuration"
REASONS = (
    "customer_service",
    "low_quality",
    "missing_features",
    "other",
    "switched_service",
    "too_complex",
    "too_expensive",
    "unused",
)
"""Why customers cancel, in Stripe's words."""

_PRORATION = params.one_of("always_invoice", "create_prorations", "none")
_ENABLED: Fields = {"enabled": params.boolean}
_PRODUCT = params.record(
    {"prices": params.array(params.identifier), "product": params.identifier}, required=("prices", "product")
)
_REASON = params.record({**_ENABLED, "options": params.array(params.one_of(*REASONS))}, required=("enabled",))
_FEATURES = params.record(
    {
        "customer_update": params.record(
            {
                **_ENABLED,
                "allowed_updates": params.array(
                    params.one_of("address", "email", "name", "phone", "shipping", "tax_id")
                ),
            }
        ),
        "invoice_history": params.record(_ENABLED),
        "payment_method_update": params.record(_ENABLED),
        "subscription_cancel": params.record(
            {
                **_ENABLED,
                "cancellation_reason": _REASON,
                "mode": params.one_of("at_period_end", "immediately"),
                "proration_behavior": _PRORATION,
            }
        ),
        "subscription_update": params.record(
            {
                **_ENABLED,
                "default_allowed_updates": params.array(params.one_of("price")),
                "products": params.array(_PRODUCT, most=10),
                "proration_behavior": _PRORATION,
            }
        ),
    }
)
_CREATE: Fields = {
    "business_profile": params.record(
        {"headline": params.text, "privacy_policy_url": urls.web, "terms_of_service_url": urls.web}
    ),
    "default_return_url": params.text,
    "features": _FEATURES,
    "metadata": params.metadata,
    "name": params.text,
}
_UPDATE: Fields = {**_CREATE, "active": params.boolean}


def create(account: StripeAccount, given: Tree) -> Json:
    """Make a configuration; what is not enabled is not allowed."""
    wanted = params.read(given, _CREATE, required=("features",))
    _check(account, wanted)
    configuration = account.new(_KIND, updated=account.now)
    _apply(configuration, wanted)
    account.record("billing_portal.configuration.created", configuration)
    return configuration


def update(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Change a configuration; each feature keeps what is not named of it."""
    configuration = account.store.get(_KIND, given)
    wanted = params.read(tree, _UPDATE)
    _check(account, wanted)
    if configuration["is_default"] and wanted.get("active") is False:
        raise StripeError("The default configuration must stay active.", param="active")
    with account.changing(configuration, "billing_portal.configuration.updated"):
        _apply(configuration, wanted)
        configuration["updated"] = account.now
    return configuration


def list_all(account: StripeAccount, given: Tree) -> ListPage[Json]:
    """Return a page of the configurations, newest first."""
    if account.has_portal:
        default(account)
    return listing.list_all(account, _KIND, given)


def default(account: StripeAccount) -> Json:
    """Return the configuration of sessions that name none, made here when it is asked for first.

    At Stripe it is made in the Dashboard; this one allows everything, and a change to any active price.
    """
    for configuration in account.store.select(_KIND, lambda held: bool(held["is_default"])):
        return configuration
    configuration = account.new(_KIND, is_default=True, updated=account.now)
    features = configuration["features"]
    for name in ("invoice_history", "payment_method_update", "subscription_cancel", "subscription_update"):
        features[name]["enabled"] = True
    features["subscription_update"]["default_allowed_updates"] = ["price"]
    features["subscription_cancel"]["cancellation_reason"] = {"enabled": True, "options": list(REASONS)}
    return configuration


def find_active(account: StripeAccount, given: str | None) -> Json:
    """Return the configuration of this id, None is the default one.

    Raises:
        StripeError: there is none with this id, it is not active, or the Dashboard has no default one.
    """
    if given is None and not account.has_portal:
        # https://docs.stripe.com/customer-management/integrate-customer-portal
        raise StripeError(
            "No configuration provided and your test mode default configuration has not been created. "
            "Provide a configuration or create your default by saving your customer portal settings in test "
            "mode at https://dashboard.stripe.com/test/settings/billing/portal."
        )
    if given is None:
        return default(account)
    configuration = account.store.get(_KIND, given, param="configuration")
    if not configuration["active"]:
        raise StripeError("The configuration provided is not active.", param="configuration")
    return configuration


def _check(account: StripeAccount, wanted: dict[str, Any]) -> None:
    features = wanted.get("features") or {}
    for name, feature in features.items():
        if feature is None:
            raise StripeError("Invalid object", param=f"features[{name}]")
    for product in (features.get("subscription_update") or {}).get("products", []):
        for price in product["prices"]:
            name = "features[subscription_update][products]"
            if account.store.get("price", price, param=name)["product"] != product["product"]:
                raise StripeError(f"The price {price} belongs to another product.", param=name)


def _apply(configuration: Json, wanted: dict[str, Any]) -> None:
    for name, feature in (wanted.pop("features", None) or {}).items():
        configuration["features"][name] |= feature
    configuration["business_profile"] |= wanted.pop("business_profile", None) or {}
    if "metadata" in wanted:
        configuration["metadata"] = params.merged(configuration["metadata"], wanted.pop("metadata"))
    configuration |= wanted

"""Webhook endpoints: where events are sent, in which version's shapes."""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from mainstem.sandbox.stripe.state.account import StripeAccount, new_id
from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.wire import params, versions
from mainstem.sandbox.stripe.wire.errors import StripeError
from mainstem.sandbox.stripe.wire.form import Tree
from mainstem.sandbox.stripe.wire.params import Fields


def _loopback_url(value: Any, name: str) -> str:
    url = params.identifier(value, name)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise StripeError("Not a valid URL", code="url_invalid", param=name) from error
    if parts.scheme not in ("http", "https") or not is_loopback(host):
        raise StripeError(
            "Invalid URL: the sandbox stays offline and sends to loopback addresses only.",
            code="url_invalid",
            param=name,
        )
    return url


def is_loopback(host: str) -> bool:
    """Return whether a URL's host is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _version(value: Any, name: str) -> str:
    return versions.check(params.identifier(value, name), param=name)


_UPDATE: Fields = {
    "description": params.text,
    "disabled": params.boolean,
    "enabled_events": params.array(params.identifier),
    "metadata": params.metadata,
    "url": _loopback_url,
}
_CREATE: Fields = {**_UPDATE, "api_version": _version, "connect": params.boolean}


def create(account: StripeAccount, given: Tree) -> Json:
    """Make an endpoint, and return it with its secret, which is shown this once."""
    secret = new_id("whsec", length=32)
    return {**_create(account, _read(given), secret), "secret": secret}


def stand(account: StripeAccount, given: Tree, *, secret: str, number: int) -> Json:
    """Return the endpoint of this number, one of those that stand: changed to be this one, or made."""
    wanted = _read(given)
    for endpoint in account.store.select("webhook_endpoint", lambda held: held["_standing"] == number):
        endpoint |= {"api_version": None, "_secret": secret, "_connect": wanted.pop("connect", False)}
        _apply(endpoint, wanted)
        return endpoint
    return _create(account, wanted, secret, number)


def _read(given: Tree) -> dict[str, Any]:
    wanted = params.read(given, _CREATE, required=("url", "enabled_events"))
    if not wanted["enabled_events"]:
        raise StripeError("Invalid array: enabled_events may not be empty.", param="enabled_events")
    return wanted


def _create(account: StripeAccount, wanted: dict[str, Any], secret: str, number: int | None = None) -> Json:
    facts = {
        "api_version": None,
        "status": "enabled",
        "_secret": secret,
        "_standing": number,
        "_connect": wanted.pop("connect", False),
    }
    endpoint = account.new("webhook_endpoint", **facts)
    _apply(endpoint, wanted)
    return endpoint


def update(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Change an endpoint; its version stays."""
    endpoint = account.store.get("webhook_endpoint", given)
    _apply(endpoint, params.read(tree, _UPDATE))
    return endpoint


def delete(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Delete an endpoint; what was not sent to it yet never is."""
    params.read(tree, {})
    endpoint = account.store.remove(account.store.get("webhook_endpoint", given))
    for event in account.events:
        account.deliveries.confirm(event, given)
    return endpoint


def interested(account: StripeAccount, happened: str, *, is_connected: bool) -> list[Json]:
    """Return the endpoints that are to be sent events of this type: of connected accounts, or of its own.

    Source: https://docs.stripe.com/connect/webhooks
    """
    return [
        endpoint
        for endpoint in account.store.shelf("webhook_endpoint")
        if endpoint["status"] == "enabled"
        and endpoint["_connect"] is is_connected
        and {"*", happened} & set(endpoint["enabled_events"])
    ]


def _apply(endpoint: Json, wanted: dict[str, Any]) -> None:
    if "disabled" in wanted:
        endpoint["status"] = "disabled" if wanted.pop("disabled") else "enabled"
    if "metadata" in wanted:
        endpoint["metadata"] = params.merged(endpoint["metadata"], wanted.pop("metadata"))
    endpoint |= wanted

"""What billing refuses to be told."""

from typing import Any

import pytest

from mainstem.billing.settings import Settings

URL = "postgresql://billing@127.0.0.1/mainstem"
PUBLIC = "https://pay.example.com/"


def settings(**given: Any) -> Settings:
    return Settings(database_url=URL, **given)  # type: ignore[arg-type]  # pydantic makes a secret of it


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"stripe_api_base": "http://stripe.example.com"}, "in clear"),
        ({"public_url": "pay.example.com"}, "MAINSTEM_PUBLIC_URL must be a URL"),
        ({"success_url": "javascript:alert(1)"}, "MAINSTEM_BILLING_SUCCESS_URL must be a URL"),
        ({"return_url": "https://user@pay.example.com"}, "MAINSTEM_BILLING_RETURN_URL must be a URL"),
        ({"stripe_api_key": "sk_test_1", "stripe_price_id": "price_1"}, "MAINSTEM_PUBLIC_URL is needed"),
    ],
)
def test_what_cannot_be_meant_is_said(given: dict[str, Any], word: str) -> None:
    (problem,) = settings(**given).contradictions()
    assert word in problem


def test_people_come_back_to_our_page_unless_it_is_said_otherwise() -> None:
    plain = settings(public_url=PUBLIC)
    assert plain.contradictions() == []
    assert plain.success == "https://pay.example.com/billing/return?session_id={CHECKOUT_SESSION_ID}"
    assert plain.cancel == plain.home == PUBLIC
    told = settings(
        public_url=PUBLIC, success_url="https://a.example.com", cancel_url="https://b.example.com"
    )
    assert (told.success, told.cancel) == ("https://a.example.com", "https://b.example.com")


def test_a_key_is_never_shown() -> None:
    assert "sk_test_1" not in repr(settings(stripe_api_key="sk_test_1"))

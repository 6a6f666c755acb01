from typing import Any

import pytest

from mainstem.sync.settings import Settings


def told(**values: Any) -> Settings:
    return Settings(**{"DATABASE_URL": "postgresql://127.0.0.1/x", **values})


def test_acoustic_answers_where_its_server_number_says() -> None:
    assert told().acoustic_url == "https://api-campaign-us-6.goacoustic.com"
    assert told(CTMS_ACOUSTIC_SERVER_NUMBER="2").acoustic_url == "https://api-campaign-us-2.goacoustic.com"
    assert told(MAINSTEM_ACOUSTIC_API_BASE="https://example.com/a/").acoustic_url == "https://example.com/a"


def test_nothing_is_delivered_unless_asked_for() -> None:
    settings = told()
    assert not settings.acoustic_sync
    assert not settings.acoustic_integration
    assert settings.contradictions() == []


@pytest.mark.parametrize(("profile", "is_fine"), [("sandbox", True), ("production", False)])
def test_deliveries_can_be_paused_in_the_sandbox_alone(profile: str, *, is_fine: bool) -> None:
    settings = told(MAINSTEM_PROFILE=profile, MAINSTEM_DELIVERY_PAUSE_FILE="pause")
    assert ("MAINSTEM_DELIVERY_PAUSE_FILE" not in " ".join(settings.contradictions())) is is_fine


@pytest.mark.parametrize(
    ("profile", "base", "is_fine"),
    [
        ("sandbox", "http://127.0.0.1:1/acoustic", True),
        ("sandbox", "http://example.com", False),
        ("production", "http://127.0.0.1:1/acoustic", False),
        ("production", "https://example.com", True),
        ("production", "ftp://example.com", False),
    ],
)
def test_plain_http_is_for_loopback_in_the_sandbox(profile: str, base: str, *, is_fine: bool) -> None:
    settings = told(MAINSTEM_PROFILE=profile, MAINSTEM_ACOUSTIC_API_BASE=base)
    assert (settings.contradictions() == []) is is_fine

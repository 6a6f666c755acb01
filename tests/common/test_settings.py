import importlib
import traceback

import pytest
from pydantic import ValidationError

from mainstem.common.settings import ServiceSettings, SettingsError

SECRET = "hunter2-and-more"
URL = f"postgresql://login:{SECRET}@127.0.0.1/mainstem"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without any name that a service reads, but the database's."""
    for field in ServiceSettings.model_fields.values():
        monkeypatch.delenv(str(field.validation_alias), raising=False)
    monkeypatch.setenv("DATABASE_URL", URL)
    return monkeypatch


def read_problems() -> list[str]:
    with pytest.raises(SettingsError) as caught:
        ServiceSettings.from_environment()
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    return caught.value.problems


@pytest.mark.parametrize("service", ["ingest", "sync", "billing", "gateway"])
def test_every_field_has_a_name_in_the_environment_and_says_what_it_means(service: str) -> None:
    settings = importlib.import_module(f"mainstem.{service}.settings").Settings
    assert issubclass(settings, ServiceSettings)
    for name, field in settings.model_fields.items():
        assert field.description, name
        assert str(field.validation_alias).isupper(), name


def test_the_defaults_are_those_of_production() -> None:
    settings = ServiceSettings.from_environment()
    assert settings.profile == "production"
    assert settings.clock_file is None
    assert settings.host == "127.0.0.1"


def test_all_that_is_missing_or_malformed_is_listed_at_once(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("DATABASE_URL")
    environment.setenv("MAINSTEM_PORT", SECRET)
    environment.setenv("MAINSTEM_PROFILE", SECRET)
    environment.setenv("OTEL_TRACES_SAMPLER_ARG", "7")
    names = [problem.partition(":")[0] for problem in read_problems()]
    assert sorted(names) == ["DATABASE_URL", "MAINSTEM_PORT", "MAINSTEM_PROFILE", "OTEL_TRACES_SAMPLER_ARG"]


def test_an_error_repeats_no_value(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MAINSTEM_PORT", SECRET)
    assert read_problems() != []


@pytest.mark.parametrize("profile", ["production", None])
def test_a_clock_file_is_refused_in_production(environment: pytest.MonkeyPatch, profile: str | None) -> None:
    environment.setenv("MAINSTEM_CLOCK_FILE", "clock")
    if profile:
        environment.setenv("MAINSTEM_PROFILE", profile)
    (problem,) = read_problems()
    assert "MAINSTEM_CLOCK_FILE" in problem


def test_a_clock_file_is_taken_in_the_sandbox(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MAINSTEM_CLOCK_FILE", "clock")
    environment.setenv("MAINSTEM_PROFILE", "sandbox")
    assert str(ServiceSettings.from_environment().clock_file) == "clock"


def test_settings_never_change_and_never_show_a_secret() -> None:
    settings = ServiceSettings.from_environment()
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1
    assert SECRET not in repr(settings)
    assert SECRET not in settings.model_dump_json()
    assert settings.database_url.get_secret_value() == URL


def test_names_in_another_case_are_not_read(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("mainstem_port", "1")
    assert ServiceSettings.from_environment().port == 8000

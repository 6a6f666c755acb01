"""Settings of a process, from its environment: read once, frozen, every field documented.

A service subclasses `ServiceSettings`; the environment's names stand beside the fields.
"""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

Profile = Literal["production", "sandbox"]


def env(name: str, description: str, **more: Any) -> Any:
    """Return a field that the environment fills under exactly this name."""
    return Field(validation_alias=name, description=description, **more)


class SettingsError(Exception):
    """The environment will not do. The text lists everything that is wrong, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("the environment is not usable:\n" + "\n".join(f"  - {line}" for line in problems))
        self.problems = problems


class Settings(BaseSettings):
    """Frozen values from the environment."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", case_sensitive=True, populate_by_name=True)

    def contradictions(self) -> list[str]:
        """Return what cannot be meant together, one sentence each."""
        return []

    @classmethod
    def from_environment(cls) -> Self:
        """Read the environment.

        Raises:
            SettingsError: something is missing, malformed or contradictory; all of it is listed.
        """
        try:
            settings = cls()
        except ValidationError as error:
            raise SettingsError([_explain(problem) for problem in error.errors()]) from None
        if problems := settings.contradictions():
            raise SettingsError(problems)
        return settings


def _explain(problem: Any) -> str:
    # The value itself is left out: it may be a secret.
    return f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"


class ServiceSettings(Settings):
    """Settings that every service reads."""

    profile: Profile = env(
        "MAINSTEM_PROFILE", "`production`, or `sandbox` for the offline world.", default="production"
    )
    host: str = env("MAINSTEM_HOST", "Address to listen on.", default="127.0.0.1")
    port: int = env("MAINSTEM_PORT", "Port to listen on.", default=8000, ge=0, le=65535)
    drain_seconds: float = env(
        "MAINSTEM_DRAIN_SECONDS",
        "How long, once told to end, a process serves on and says that it is not ready; for balancers that"
        " ask for its health. The charts wait before they tell it.",
        default=0.0,
        ge=0.0,
    )
    stop_seconds: int = env(
        "MAINSTEM_STOP_SECONDS",
        "How long requests that are under way may take once nobody is let in; then they are cut off.",
        default=10,
        ge=1,
    )
    head_seconds: float = env(
        "MAINSTEM_HEAD_SECONDS",
        "Seconds in which the headers of a request must arrive, and the first byte of a connection.",
        default=10.0,
        gt=0.0,
    )
    body_seconds: float = env(
        "MAINSTEM_BODY_SECONDS",
        "Seconds in which the body of a request must arrive after its headers.",
        default=30.0,
        gt=0.0,
    )
    idle_seconds: float = env(
        "MAINSTEM_IDLE_SECONDS",
        "Seconds for which a connection is kept between two requests; behind the gateway more than 3.",
        default=5.0,
        gt=0.0,
    )
    connections: int = env(
        "MAINSTEM_CONNECTIONS",
        "How many connections are open at most; a full process drops the oldest that answers nothing.",
        default=1_024,
        ge=1,
    )
    connections_per_address: int = env(
        "MAINSTEM_CONNECTIONS_PER_ADDRESS",
        "How many connections, or requests under way, one client address (IPv6: one /64) has at most."
        " Peers in FORWARDED_ALLOW_IPS are exempt.",
        default=256,
        ge=1,
    )
    database_url: SecretStr = env(
        "DATABASE_URL", "Postgres, as `postgresql://login:password@host:port/database`."
    )
    redis_url: SecretStr | None = env(
        "REDIS_URL", "Redis or Valkey for wake-ups; without it work is found by polling.", default=None
    )
    identity_jwks_url: str | None = env(
        "MAINSTEM_IDENTITY_JWKS_URL",
        "Where the gateway publishes the keys that sign identities.",
        default=None,
    )
    clock_file: Path | None = env(
        "MAINSTEM_CLOCK_FILE", "The sandbox's clock; refused outside the sandbox profile.", default=None
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = env(
        "MAINSTEM_LOG_LEVEL", "The least severe log events to write.", default="INFO"
    )
    otlp_endpoint: str | None = env(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OpenTelemetry collector (HTTP); without it spans are not exported.",
        default=None,
    )
    trace_ratio: float = env(
        "OTEL_TRACES_SAMPLER_ARG", "Which part of new traces is sampled.", default=0.1, ge=0.0, le=1.0
    )
    instance: str = env("HOSTNAME", "The name of this process in leases and telemetry.", default="local")

    def contradictions(self) -> list[str]:
        """Return what cannot be meant together, one sentence each."""
        if self.clock_file is not None and self.profile != "sandbox":
            return ["MAINSTEM_CLOCK_FILE moves time; it is refused unless MAINSTEM_PROFILE is `sandbox`"]
        return []

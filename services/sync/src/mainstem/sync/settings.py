"""Settings of sync, read from the environment."""

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from mainstem.common.settings import ServiceSettings, env

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Settings(ServiceSettings):
    """Sync's environment: what every service reads, and Acoustic under the names that CTMS gave it."""

    acoustic_sync: bool = env(
        "CTMS_ACOUSTIC_SYNC_FEATURE_FLAG", "Whether the worker delivers at all.", default=False
    )
    acoustic_integration: bool = env(
        "CTMS_ACOUSTIC_INTEGRATION_FEATURE_FLAG",
        "Whether deliveries are sent; without it they are settled unsent.",
        default=False,
    )
    acoustic_server_number: int = env(
        "CTMS_ACOUSTIC_SERVER_NUMBER", "The number in the name of Acoustic's API server.", default=6, ge=0
    )
    acoustic_api_base: str | None = env(
        "MAINSTEM_ACOUSTIC_API_BASE",
        "Any server that speaks Acoustic's API; without it the one that the server number names.",
        default=None,
    )
    acoustic_client_id: str = env("CTMS_ACOUSTIC_CLIENT_ID", "OAuth client at Acoustic.", default="")
    acoustic_client_secret: SecretStr = env(
        "CTMS_ACOUSTIC_CLIENT_SECRET", "That client's secret.", default=SecretStr("")
    )
    acoustic_refresh_token: SecretStr = env(
        "CTMS_ACOUSTIC_REFRESH_TOKEN", "What access tokens are granted for.", default=SecretStr("")
    )
    acoustic_main_table: str = env("CTMS_ACOUSTIC_MAIN_TABLE_ID", "Id of the main table.", default="")
    acoustic_product_table: str = env(
        "CTMS_ACOUSTIC_PRODUCT_SUBSCRIPTIONS_ID", "Id of the product table.", default=""
    )
    acoustic_timeout_seconds: float = env(
        "CTMS_ACOUSTIC_TIMEOUT_S",
        "How long a request to Acoustic may take, in seconds.",
        default=5.0,
        gt=0,
        le=20,
    )
    acoustic_concurrency: int = env(
        "MAINSTEM_ACOUSTIC_CONCURRENCY",
        "How many requests Acoustic gets at once, from all workers together.",
        default=10,
        ge=1,
        le=100,
    )
    delete_vanished_products: bool = env(
        "MAINSTEM_DELETE_VANISHED_PRODUCTS",
        "Whether a product that is no longer derived is deleted at the platforms; CTMS never did.",
        default=True,
    )

    pause_file: Path | None = env(
        "MAINSTEM_DELIVERY_PAUSE_FILE",
        "Whose lock pauses the sandbox's deliveries; refused outside the sandbox profile.",
        default=None,
    )

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platforms that every change of a contact is marked for."""
        return ("acoustic",)

    @property
    def acoustic_url(self) -> str:
        """The base URL of Acoustic."""
        default = f"https://api-campaign-us-{self.acoustic_server_number}.goacoustic.com"
        return (self.acoustic_api_base or default).rstrip("/")

    def contradictions(self) -> list[str]:
        """Return what cannot be meant together, one sentence each."""
        found = super().contradictions()
        if self.pause_file is not None and self.profile != "sandbox":
            found.append(
                "MAINSTEM_DELIVERY_PAUSE_FILE holds deliveries back; it is refused unless MAINSTEM_PROFILE is"
                " `sandbox`"
            )
        url = urlsplit(self.acoustic_url)
        is_local = self.profile == "sandbox" and url.hostname in LOOPBACK
        if url.scheme != "https" and not (url.scheme == "http" and is_local):
            found.append("MAINSTEM_ACOUSTIC_API_BASE must be https, but for loopback in the sandbox profile")
        if self.acoustic_sync and self.acoustic_integration:
            found += [f"{name} is needed to deliver to Acoustic" for name in self._missing()]
        return found

    def _missing(self) -> list[str]:
        needed = (
            "acoustic_client_id",
            "acoustic_client_secret",
            "acoustic_refresh_token",
            "acoustic_main_table",
            "acoustic_product_table",
        )
        # A SecretStr is as true as its value is long.
        empty = [name for name in needed if not getattr(self, name)]
        return [str(type(self).model_fields[name].validation_alias) for name in empty]

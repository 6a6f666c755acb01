"""The one Acoustic account that the sandbox knows: its credentials and the ids of its tables."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Account:
    """What a caller must present, and how its tables are numbered."""

    client_id: str
    client_secret: str
    refresh_token: str
    main_table_id: str
    newsletter_table_id: str
    product_table_id: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Account":
        """Return the account that the services' own settings describe.

        Raises:
            KeyError: a setting is missing.
        """
        return cls(
            client_id=environment["CTMS_ACOUSTIC_CLIENT_ID"],
            client_secret=environment["CTMS_ACOUSTIC_CLIENT_SECRET"],
            refresh_token=environment["CTMS_ACOUSTIC_REFRESH_TOKEN"],
            main_table_id=environment["CTMS_ACOUSTIC_MAIN_TABLE_ID"],
            newsletter_table_id=environment["CTMS_ACOUSTIC_NEWSLETTER_TABLE_ID"],
            product_table_id=environment["CTMS_ACOUSTIC_PRODUCT_SUBSCRIPTIONS_ID"],
        )

"""The one Acoustic account that the sandbox knows: its credentials and the ids of its tables."""

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

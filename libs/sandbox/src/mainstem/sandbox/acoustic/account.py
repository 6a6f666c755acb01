"""The one Acoustic account that the sandbox knows: its credentials and the ids of its tables."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Account:
    """What a caller must present, and how its tables are numbered."""

    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)
    main_table_id: str
    newsletter_table_id: str
    product_table_id: str

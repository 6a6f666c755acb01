"""Acoustic account of the sandbox: its credentials and the ids of its tables."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AcousticAccount:
    """Credentials that a caller must present, and ids of the tables."""

    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)
    main_table_id: str
    newsletter_table_id: str
    product_table_id: str

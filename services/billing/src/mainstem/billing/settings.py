"""What billing is told by its environment."""

from mainstem.common.settings import ServiceSettings


class Settings(ServiceSettings):
    """Billing's environment: so far, what every service reads."""

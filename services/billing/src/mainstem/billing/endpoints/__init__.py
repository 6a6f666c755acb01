"""Billing's endpoints."""

from collections.abc import Sequence

from starlette.routing import BaseRoute

from mainstem.billing.endpoints import accounts, returns, subscriptions
from mainstem.billing.settings import RETURN_PATH

routes: Sequence[BaseRoute] = (*accounts.routes, *subscriptions.routes, *returns.routes)

PUBLIC = (RETURN_PATH,)
"""Where browsers come without an identity: who knows a session's id may see what became of it."""

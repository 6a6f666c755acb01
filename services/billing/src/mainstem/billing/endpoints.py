"""Billing's endpoints: none yet; accounts, checkout and portal come next."""

from collections.abc import Sequence

from starlette.routing import BaseRoute

routes: Sequence[BaseRoute] = ()

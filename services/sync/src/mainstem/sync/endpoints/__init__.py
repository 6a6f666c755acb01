"""Sync's endpoints."""

from collections.abc import Sequence

from starlette.routing import BaseRoute

from mainstem.sync.endpoints import contacts

routes: Sequence[BaseRoute] = contacts.routes

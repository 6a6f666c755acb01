"""An app that remembers each request that reached it, behind guarded connections."""

from collections.abc import AsyncIterator

import pytest
from guarded_app import LIMITS, Recorder
from serving import serving


@pytest.fixture
async def app() -> AsyncIterator[Recorder]:
    app = Recorder()
    async with serving(app, LIMITS) as url:
        app.url = url
        yield app

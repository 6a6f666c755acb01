from collections.abc import AsyncIterator

import httpx
import pytest
from acoustic_calls import ACCOUNT, Caller
from serving import serving
from starlette.applications import Starlette
from starlette.routing import Mount

from mainstem.common.clock import SystemClock
from mainstem.sandbox.acoustic.stand_in import AcousticStandIn
from mainstem.sandbox.stand_ins.faults import FaultMiddleware, Faults


@pytest.fixture
def acoustic() -> AcousticStandIn:
    return AcousticStandIn(SystemClock(), ACCOUNT)


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
async def caller(acoustic: AcousticStandIn, faults: Faults) -> AsyncIterator[Caller]:
    routes = Starlette(routes=[Mount("/acoustic", routes=acoustic.routes)])
    app = acoustic.limited(FaultMiddleware(routes, faults))
    async with serving(app) as base, httpx.AsyncClient(base_url=base) as http:
        caller = Caller(http)
        await caller.authorise()
        yield caller

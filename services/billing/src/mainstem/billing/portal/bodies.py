"""Body of a portal request. Pure."""

from typing import Annotated

from pydantic import Field, StrictStr

from mainstem.billing.accounts.bodies import OwnedBody
from mainstem.billing.portal.sessions import PortalIntent
from mainstem.common.http.values import Name


class Management(OwnedBody):
    """Body of a portal request: its owner, the intent, and where the browser goes afterwards."""

    intent: PortalIntent
    subscription_id: Name | None = None
    redirect_to: Annotated[StrictStr, Field(max_length=2048, pattern=r"^[\x21-\x7e]+$")] | None = None

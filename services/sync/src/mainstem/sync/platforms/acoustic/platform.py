"""Acoustic Campaign, over HTTP: tokens, requests, and what their answers mean (stop 8).

Nothing is sent twice here: what failed waits in Postgres for its retry.
"""

import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from mainstem.common.http.calls.breaker import CircuitOpenError
from mainstem.common.http.calls.client import Client
from mainstem.common.http.calls.upstream import NotReachedError, UpstreamResponse
from mainstem.common.telemetry import metrics
from mainstem.sync.platforms.acoustic import columns, xml
from mainstem.sync.platforms.acoustic.tokens import NO_ANSWER, AcousticAccount, AcousticTokens
from mainstem.sync.platforms.difference import Row, Tables
from mainstem.sync.platforms.protocol import (
    NotPreparedError,
    PlatformRequest,
    SendError,
    SendUnknownError,
    ShapedContact,
)
from mainstem.sync.profiles.profile import Profile

NAME = "acoustic"
MOST_ROWS = 100
"""Maximum number of rows in one relational call."""

UPSERT_MAIN = "main.upsert"
UPSERT_PRODUCT = "product.upsert"
DELETE_PRODUCT = "product.delete"

METHODS = {
    UPSERT_MAIN: "add_recipient",
    UPSERT_PRODUCT: "insert_update_relational_table",
    DELETE_PRODUCT: "delete_relational_table_data",
}
"""Names of the requests in CTMS' metrics."""

NEVER_REACHED = (NotReachedError, CircuitOpenError)
"""Errors that say for sure that Acoustic saw nothing."""


requests_sent = metrics.meter().create_counter(
    "ctms_background_acoustic_request", description="Requests to Acoustic, by how they ended."
)
requests_duration = metrics.meter().create_histogram(
    # Without its unit, which would become part of the name.
    "ctms_background_acoustic_requests_duration",
    description="How long Acoustic took to answer, in seconds.",
    explicit_bucket_boundaries_advisory=[0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0],
)


class Acoustic:
    """The platform `acoustic`."""

    name = NAME

    def __init__(
        self, client: Client, account: AcousticAccount, *, timeout_seconds: float, deletes_vanished: bool
    ) -> None:
        self._client = client
        self._account = account
        self._tokens = AcousticTokens(client, account)
        self.timeout_seconds = timeout_seconds
        self.deletes_vanished = deletes_vanished

    def shape(self, profile: Profile) -> ShapedContact:
        """Return the contact's rows in the main and the product table. Pure."""
        return columns.shape(profile)

    def plan(
        self, tables: Tables, changed: set[str], vanished: Mapping[str, set[str]]
    ) -> list[PlatformRequest]:
        """Return the requests that bring about what differs: a table that changed goes whole. Pure."""
        planned = []
        main = list(tables[columns.MAIN].values())
        if columns.MAIN in changed:
            planned.append(PlatformRequest(UPSERT_MAIN, columns.MAIN, main))
        if columns.PRODUCT in changed:
            products = list(tables[columns.PRODUCT].values())
            planned += _chunked(UPSERT_PRODUCT, products)
        if self.deletes_vanished:
            gone = sorted(vanished.get(columns.PRODUCT, ()))
            keys = [{"email_id": main[0]["email_id"], "product_id": product_id} for product_id in gone]
            planned += _chunked(DELETE_PRODUCT, keys)
        return planned

    async def prepare(self) -> None:
        """Have a token."""
        await self._tokens.ensure()

    async def send(self, request: PlatformRequest) -> None:
        """Send one request; a token that turns out to be expired is forgotten."""
        started_at = time.monotonic()
        status = "success"
        try:
            await self._send(request)
        except SendError:
            status = "failure"
            raise
        except BaseException:
            status = "unknown"
            raise
        finally:
            labels = {"method": METHODS[request.kind], "status": status, "table": request.table}
            requests_sent.add(1, labels)
            requests_duration.record(time.monotonic() - started_at, labels)

    async def _send(self, request: PlatformRequest) -> None:
        token = self._tokens.find()
        if token is None:
            raise NotPreparedError("no token")
        try:
            answer = await self._post(token, self._envelope(request))
            _demand_success(answer)
        except xml.SessionExpiredError as error:
            self._tokens.forget(token)
            raise NotPreparedError(str(error)) from None
        except xml.AcousticFaultError as error:
            raise SendError(f"HTTP {answer.status}: {error}") from None

    async def _post(self, token: str, envelope: str) -> UpstreamResponse:
        headers = {"Authorization": f"Bearer {token}"}
        try:
            return await self._client.request("POST", "/XMLAPI", form={"xml": envelope}, headers=headers)
        except NEVER_REACHED as error:
            raise SendError(f"not reached: {error}") from None
        except NO_ANSWER as error:
            raise SendUnknownError(f"no answer: {error}") from None

    def _envelope(self, request: PlatformRequest) -> str:
        if request.kind == UPSERT_MAIN:
            return xml.add_recipient(self._account.main_table, request.rows[0], key="email_id")
        write = xml.upsert_rows if request.kind == UPSERT_PRODUCT else xml.delete_rows
        return write(self._account.product_table, request.rows)


def _demand_success(answer: UpstreamResponse) -> None:
    """Pass if the answer says that all was done.

    Raises:
        SessionExpiredError: the token was not good; as XML Acoustic says so with 200, else with 401.
        FaultError: it says anything else.
    """
    if answer.status == HTTPStatus.UNAUTHORIZED:
        raise xml.SessionExpiredError("the token is refused")
    if not answer.is_success:
        raise xml.AcousticFaultError("the answer is an error")
    xml.read_answer(answer.content)


def _chunked(kind: str, rows: Sequence[Row]) -> list[PlatformRequest]:
    starts = range(0, len(rows), MOST_ROWS)
    return [PlatformRequest(kind, columns.PRODUCT, rows[start : start + MOST_ROWS]) for start in starts]

from urllib.parse import unquote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstem.common.errors import NotFoundError
from mainstem.common.settings import SettingsError
from mainstem.gateway.app import read_routes
from mainstem.gateway.routes.table import MethodNotAllowedError, RouteTable, parse
from mainstem.gateway.settings import Settings

UPSTREAMS = {"ingest": "http://ingest", "sync": "http://sync", "billing": None}


def route(**given: object) -> str:
    values = {"methods": ["GET"], "path": "/a", "upstream": "sync", "scope": "contacts:read"} | given
    rendered = [
        f"{name} = {str(value).lower() if isinstance(value, bool) else repr(value)}"
        for name, value in values.items()
        if value is not None
    ]
    return "\n".join(["[[routes]]", *rendered, ""])


def table(*routes: str) -> RouteTable:
    return parse("\n".join(routes), UPSTREAMS)


def shipped() -> RouteTable:
    return read_routes(
        Settings.model_validate(
            {
                "database_url": "postgresql://nobody@127.0.0.1/none",
                "upstream_sync": "http://sync",
                "upstream_ingest": "http://ingest",
                "upstream_billing": "http://billing",
            }
        )
    )


@pytest.mark.parametrize(
    ("method", "path", "upstream", "scope"),
    [
        ("GET", b"/ctms", "sync", "contacts:read"),
        ("HEAD", b"/ctms", "sync", "contacts:read"),
        ("POST", b"/ctms", "sync", "contacts:write"),
        ("GET", b"/ctms/332de237-cab7-4461-bcc3-48e68f42bd5c", "sync", "contacts:read"),
        ("PATCH", b"/ctms/332de237-cab7-4461-bcc3-48e68f42bd5c", "sync", "contacts:write"),
        ("POST", b"/stripe", "ingest", "stripe:write"),
        ("GET", b"/billing/accounts/fxa_id/1", "billing", "billing:read"),
        ("PUT", b"/billing/accounts/fxa_id/1", "billing", "billing:write"),
        ("GET", b"/billing/subscriptions", "billing", "billing:read"),
        ("POST", b"/billing/subscriptions", "billing", "billing:write"),
        ("POST", b"/billing/subscriptions/manage", "billing", "billing:write"),
        ("GET", b"/billing/return", "billing", None),
        ("POST", b"/webhooks/stripe", "ingest", None),
        ("POST", b"/webhooks/stripe/acct_1", "ingest", None),
    ],
)
def test_the_routes_that_ship_lead_where_they_should(
    method: str, path: bytes, upstream: str, scope: str | None
) -> None:
    found = shipped().match(method, path)
    assert (found.upstream, found.scope, found.public) == (upstream, scope, scope is None)


@pytest.mark.parametrize(
    "path",
    [
        b"/",
        b"/ctms/",
        b"//ctms",
        b"/ctms/a/b/c",
        b"*",
        b"",
        b"/webhooks/stripe/a/b",
        b"/ctmsx",
        b"/ctms/a?b",
        b"/ctms/a#b",
    ],
)
def test_a_path_without_a_rule_is_not_found(path: bytes) -> None:
    with pytest.raises(NotFoundError):
        shipped().match("POST", path)


@pytest.mark.parametrize(
    "path",
    [
        b"/ctms/..",
        b"/ctms/.",
        b"/ctms/%2e%2E",
        b"/ctms/a%2Fb",
        b"/ctms/a%5cb",
        b"/ctms/a\\b",
        b"/ctms/a%00",
        b"/ctms/a%0Ab",
        b"/ctms/\xc3\xa9",
        b"/ctms/%zz",
    ],
)
def test_a_path_that_two_servers_might_read_differently_matches_nothing(path: bytes) -> None:
    with pytest.raises(NotFoundError):
        shipped().match("GET", path)


@given(
    st.lists(
        st.sampled_from([b".", b"%2e", b"%2F", b"/", b"\\", b"%5c", b"a", b"%61", b";", b"%", b"#", b"\t"])
    )
)
def test_what_matches_is_the_same_path_to_the_http_client_and_to_the_upstream(parts: list[bytes]) -> None:
    path = b"/ctms/" + b"".join(parts)
    try:
        shipped_once().match("GET", path)
    except NotFoundError:
        return
    sent = httpx.URL("http://sync" + path.decode()).raw_path.decode()
    assert sent == path.decode()
    assert unquote(sent).count("/") == 2


def shipped_once(found: list[RouteTable] = []) -> RouteTable:  # noqa: B006 -- reading the file once is meant
    if not found:
        found.append(shipped())
    return found[0]


def test_another_method_is_told_which_there_are() -> None:
    with pytest.raises(MethodNotAllowedError) as caught:
        shipped().match("DELETE", b"/ctms/a")
    assert caught.value.headers == {"Allow": "GET, HEAD, PATCH"}


def test_a_literal_beats_a_parameter_and_falls_back_to_it_for_other_methods() -> None:
    rules = table(
        route(path="/a/{x}", methods=["GET", "POST"]),
        route(path="/a/new", methods=["POST"], scope="contacts:write"),
    )
    assert rules.match("POST", b"/a/new").scope == "contacts:write"
    assert rules.match("GET", b"/a/new").path == "/a/{x}"
    assert rules.match("POST", b"/a/n%65w").scope == "contacts:write"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("routes = 1", "Expected `array`"),
        ("routes = [", "routes: "),
        (route(colour="red"), "colour"),
        (route(methods=[]), "methods"),
        (route(timeout_seconds=0), "timeout_seconds"),
        (route(body_limit_bytes=-1), "body_limit_bytes"),
        (route(upstream="moon"), "unknown upstream `moon`; there are ingest, sync, billing"),
        (route(upstream="billing"), "MAINSTEM_UPSTREAM_BILLING is not set"),
        (route(public=True), "either `scope` or `public = true`"),
        (route(scope=None), "either `scope` or `public = true`"),
        (route(scope="contacts:eat"), "unknown scope `contacts:eat`"),
        (route(methods=["FETCH"]), "unknown method `FETCH`"),
        (route(path="/a/"), "without a slash at its end"),
        (route(path="a"), "the path must be"),
        (route(path="/a/x{y}"), "the path must be"),
        (route(path="/token"), "answers this path itself"),
        (route(path="/a/{x}") + route(path="/a/{y}"), "GET /a/{…} stands there 2 times"),
    ],
)
def test_a_file_that_will_not_do_is_refused_with_its_reason(text: str, complaint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        table(text)
    assert complaint in str(caught.value)


def test_everything_that_is_wrong_is_listed_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        table(route(upstream="moon", scope="contacts:eat"), route(path="/b/", public=True))
    assert len(caught.value.problems) == 4


@pytest.mark.parametrize("url", ["sync:8000", "ftp://sync", "http://sync/base", "http://sync?x=1", "http://"])
def test_an_upstream_that_is_no_base_url_is_refused_at_start(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1/none")
    monkeypatch.setenv("MAINSTEM_UPSTREAM_SYNC", url)
    with pytest.raises(SettingsError, match="MAINSTEM_UPSTREAM_SYNC"):
        Settings.from_environment()

"""Answers keep their order and their requests, whatever the client sends besides."""

import asyncio

from guarded_app import LIMITS, Recorder
from raw_http import until
from wire import wire_to

from mainstem.common.http.connections.strict import PIPELINED

H = b" HTTP/1.1\r\nHost: a\r\n"
SMUGGLED = b"GET /smuggled" + H + b"\r\n"


async def test_pipelined_requests_are_answered_in_order(app: Recorder) -> None:
    async with wire_to(app.url) as wire:
        await wire.send(b"".join(b"GET /%d" % number + H + b"\r\n" for number in range(20)))
        said = await wire.hear()
    assert [body for _, body in said.answers] == [b"/%d" % number for number in range(20)]


async def test_refusal_of_a_later_request_overtakes_no_answer(app: Recorder) -> None:
    async with wire_to(app.url) as wire:
        await wire.send(b"GET /held" + H + b"\r\n", b"GET /queued" + H + b"\r\n" + b"nonsense\r\n\r\n")
        asyncio.get_running_loop().call_later(0.1, app.go_on.set)
        said = await wire.hear()
    assert [body for _, body in said.answers[:2]] == [b"/held", b"/queued"]
    assert said.statuses == [200, 200, 400]
    assert said.is_closed


async def test_broken_body_of_a_queued_request_loses_that_request_alone(app: Recorder) -> None:
    broken = b"POST /broken" + H + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"
    async with wire_to(app.url) as wire:
        await wire.send(b"GET /held" + H + b"\r\n", broken)
        asyncio.get_running_loop().call_later(0.1, app.go_on.set)
        said = await wire.hear()
    assert said.answers[0] == (200, b"/held")
    assert said.statuses == [200, 400]
    assert said.is_closed
    assert [path for _, path, _ in app.received] == ["/held"]


def early(length: int) -> bytes:
    return b"POST /early" + H + b"Content-Length: %d\r\n\r\n" % length


async def test_body_that_comes_after_an_early_answer_is_no_request(app: Recorder) -> None:
    async with wire_to(app.url) as wire:
        await wire.send(early(len(SMUGGLED)), SMUGGLED, b"GET /next" + H + b"\r\n")
        said = await wire.hear(b"POST", b"GET")
    assert [body for _, body in said.answers] == [b"/early", b"/next"]
    assert [path for _, path, _ in app.received] == ["/early", "/next"]


async def test_large_body_after_an_early_answer_ends_the_connection(app: Recorder) -> None:
    async with wire_to(app.url) as wire:
        await wire.send(early(10_000_000), *[SMUGGLED * 1_000] * 20)
        said = await wire.hear(b"POST")
    assert said.statuses in ([200], [])
    assert said.is_closed
    assert [path for _, path, _ in app.received] == ["/early"]


async def test_body_that_never_comes_after_an_early_answer_ends_the_connection(app: Recorder) -> None:
    async with wire_to(app.url) as wire:
        await wire.send(early(3), b"a")
        said = await wire.hear(b"POST", quiet=3)
    assert said.statuses == [200]
    assert said.is_closed


async def test_whole_body_after_an_early_answer_keeps_the_connection(app: Recorder) -> None:
    async with wire_to(app.url) as wire:
        await wire.send(
            b"POST /early" + H + b"Content-Length: 3\r\n\r\nabc" + SMUGGLED.replace(b"smuggled", b"b")
        )
        said = await wire.hear(b"POST", b"GET")
    assert [body for _, body in said.answers] == [b"/early", b"/b"]


async def test_path_beyond_ascii_is_refused_on_a_connection_that_served_before(app: Recorder) -> None:
    async with wire_to(app.url) as wire:
        await wire.send(b"GET /a" + H + b"\r\n", b"GET /\xe9" + H + b"\r\n")
        said = await wire.hear()
    assert said.statuses == [200, 400]


async def test_refused_path_behind_a_request_leaves_that_request_its_answer(app: Recorder) -> None:
    async with wire_to(app.url) as wire:
        await wire.send(b"GET /held" + H + b"\r\n", b"GET /\xe9" + H + b"\r\n")
        asyncio.get_running_loop().call_later(0.1, app.go_on.set)
        said = await wire.hear()
    assert said.answers[0] == (200, b"/held")
    assert said.statuses == [200, 400]
    assert said.is_closed


async def test_pipeline_is_bounded_and_what_was_taken_is_answered(app: Recorder) -> None:
    async with wire_to(app.url) as wire:
        await wire.send(
            b"GET /held" + H + b"\r\n" + b"".join(b"GET /%d" % n + H + b"\r\n" for n in range(3_000))
        )
        asyncio.get_running_loop().call_later(0.1, app.go_on.set)
        said = await wire.hear()
    assert said.statuses == [*[200] * (1 + PIPELINED), 503]
    assert said.is_closed


async def test_client_that_leaves_is_noticed_by_the_request_that_runs_and_not_only_by_the_newest(
    app: Recorder,
) -> None:
    async with wire_to(app.url) as wire:
        await wire.send(b"GET /watch" + H + b"\r\nGET /next" + H + b"\r\n")
        await until(lambda: ("GET", "/watch", None) in app.received)
    await until(lambda: ("left", "/watch", None) in app.received)
    assert "/next" not in [path for _, path, _ in app.received]


async def test_head_that_the_server_itself_did_not_read_has_its_time_afterwards(app: Recorder) -> None:
    last = b"GET /last" + H + b"\r\n"
    async with wire_to(app.url) as wire:
        await wire.send(b"GET /deaf" + H + b"\r\nGET /next" + H + b"\r\n" + last[:20], last[20:])
        asyncio.get_running_loop().call_later(2 * LIMITS.head_seconds, app.go_on.set)
        said = await wire.hear(quiet=2)
    assert said.statuses == [200, 200, 200]


async def test_pipelined_request_inherits_nothing_of_the_request_before_it(app: Recorder) -> None:
    async with wire_to(app.url) as wire:
        await wire.send(b"GET /first" + H + b"\r\nGET /second" + H + b"\r\n")
        assert (await wire.hear()).statuses == [200, 200]
    assert app.inherited == ["", ""]

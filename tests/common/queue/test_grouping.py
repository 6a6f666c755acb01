"""Grouping: who shares a group, who does not wait, and whose error is whose."""

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from mainstem.common.queue.grouping import Grouped


class BadError(Exception):
    """The fault of one."""


class Doubling:
    """Doubles numbers, a group at a time when it is let; refuses a group with a negative one."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.let = asyncio.Event()

    async def act(self, group: Sequence[int]) -> Sequence[int]:
        self.groups.append(list(group))
        await self.let.wait()
        if min(group) < 0:
            raise BadError
        return [2 * number for number in group]


async def test_what_comes_while_a_group_is_worked_on_shares_the_next() -> None:
    doubling = Doubling()
    double = Grouped(doubling.act)
    first = asyncio.create_task(double(1))
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(double(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0.01)
    doubling.let.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6, 8]
    assert doubling.groups == [[1], [2, 3, 4]]


async def test_who_is_cancelled_leaves_the_others_alone() -> None:
    doubling = Doubling()
    double = Grouped(doubling.act)
    tasks = [asyncio.create_task(double(number)) for number in (1, 2)]
    await asyncio.sleep(0.01)
    tasks[0].cancel()
    doubling.let.set()
    assert await tasks[1] == 4
    assert tasks[0].cancelled()
    assert await double(3) == 6


async def test_an_error_is_told_to_all_of_the_group_and_the_next_group_is_asked_for() -> None:
    doubling = Doubling()
    doubling.let.set()
    double = Grouped(doubling.act)
    answers = await asyncio.gather(double(1), double(-1), return_exceptions=True)
    assert [type(answer) for answer in answers] == [BadError, BadError]
    assert await double(1) == 2


@given(numbers=st.lists(st.integers(-3, 100), max_size=20), most=st.integers(1, 7))
async def test_each_gets_its_own_answer_and_nobody_anothers_error(numbers: list[int], most: int) -> None:
    doubling = Doubling()
    doubling.let.set()
    double = Grouped(doubling.act, most=most, is_own=lambda error: isinstance(error, BadError))
    answers = await asyncio.gather(*(double(number) for number in numbers), return_exceptions=True)
    for number, answer in zip(numbers, answers, strict=True):
        assert (type(answer) is BadError) if number < 0 else (answer == 2 * number)
    assert all(len(group) <= most for group in doubling.groups)


async def test_finishing_waits_for_what_was_asked_for() -> None:
    doubling = Doubling()
    double = Grouped(doubling.act)
    await double.finish()
    task = asyncio.create_task(double(1))
    await asyncio.sleep(0.01)
    asyncio.get_running_loop().call_later(0.05, doubling.let.set)
    await double.finish()
    assert task.done() or await asyncio.wait_for(task, 0.1) == 2

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from kelong_operator import telemetry, workqueue

KEY = workqueue.Key("VoiceModel", "ns", "a")
OTHER = workqueue.Key("VoiceModel", "ns", "b")


def run(workers: int, story: Callable[[workqueue.Workqueue], Awaitable[None]], deal: Callable[..., object]) -> None:
    async def play() -> None:
        queue = workqueue.Workqueue(telemetry.Telemetry(), random.Random(1))

        async def deal_with(key: workqueue.Key) -> float | None:
            return await deal(key)  # type: ignore[misc]

        tasks = [asyncio.create_task(queue.work(deal_with)) for _ in range(workers)]
        await story(queue)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(play())


def test_a_key_that_is_added_often_is_dealt_with_once() -> None:
    seen: list[workqueue.Key] = []

    async def deal(key: workqueue.Key) -> None:
        seen.append(key)

    async def story(queue: workqueue.Workqueue) -> None:
        for _ in range(5):
            queue.add(KEY)
            queue.add(OTHER)
        await asyncio.sleep(0.05)

    run(2, story, deal)
    assert sorted(seen, key=str) == [KEY, OTHER]


def test_a_key_is_never_in_work_twice_and_comes_again_if_it_was_added_meanwhile() -> None:
    in_work, most, count = 0, 0, 0

    async def deal(key: workqueue.Key) -> None:
        nonlocal in_work, most, count
        in_work += 1
        most, count = max(most, in_work), count + 1
        await asyncio.sleep(0.02)
        in_work -= 1

    async def story(queue: workqueue.Workqueue) -> None:
        for _ in range(4):
            queue.add(KEY)
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)

    run(4, story, deal)
    assert most == 1
    assert 2 <= count <= 4


def test_a_failure_is_tried_again_and_stops_no_other_key() -> None:
    seen: list[workqueue.Key] = []

    async def deal(key: workqueue.Key) -> None:
        seen.append(key)
        if key == KEY and seen.count(KEY) == 1:
            raise workqueue.Failed("the API server is away")
        if key == OTHER and seen.count(OTHER) == 1:
            raise RuntimeError("a fault of ours")

    async def story(queue: workqueue.Workqueue) -> None:
        queue.add(KEY)
        queue.add(OTHER)
        await asyncio.sleep(1.3)

    run(1, story, deal)
    assert (seen.count(KEY), seen.count(OTHER)) == (2, 2)


def test_the_earlier_of_two_appointments_holds() -> None:
    times: list[float] = []

    async def deal(key: workqueue.Key) -> None:
        times.append(asyncio.get_running_loop().time())

    async def story(queue: workqueue.Workqueue) -> None:
        begun = asyncio.get_running_loop().time()
        queue.add_later(KEY, 5)
        queue.add_later(KEY, 0.05)
        queue.add_later(KEY, 3)
        await asyncio.sleep(0.2)
        assert len(times) == 1
        assert times[0] - begun < 0.2

    run(1, story, deal)

"""How fast the load goes."""

import asyncio

PAUSE_SECONDS = 0.1


class Pace:
    """Lets the actors go on as fast as makes so many events in so much time."""

    def __init__(self, events: int, seconds: float) -> None:
        self._events = events
        self._seconds = seconds
        self._began = asyncio.get_running_loop().time()
        self._made = 0
        self._is_over = False
        self.reached = asyncio.Event()

    def take_note(self, made: int) -> None:
        """Take note of how many events there are."""
        self._made = made
        if made >= self._events:
            self.reached.set()

    async def turn(self) -> None:
        """Return when it is time for one thing more."""
        # Also the first time: nobody hurries when the count is old, as it is while Postgres is away.
        await asyncio.sleep(PAUSE_SECONDS)
        while self._is_ahead:  # noqa: ASYNC110 -- it is time that is waited for
            await asyncio.sleep(PAUSE_SECONDS)

    @property
    def _is_ahead(self) -> bool:
        passed = (asyncio.get_running_loop().time() - self._began) / self._seconds
        return not self._is_over and self._made > self._events * passed

    def end(self) -> None:
        """Keep nobody waiting any more."""
        self._is_over = True

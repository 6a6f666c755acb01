"""What every test may ask for."""

import signal
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

pytest_plugins = ("budgets", "rotation", "servers", "session_stack")

# A shell starts what it puts into the background deaf to Ctrl-C, and the children of a deaf process are deaf.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes, or hypothesis needs to think of it, is the machine's doing: on a busy one neither
# is a failure. What is fast enough is for `bench/` to say.
settings.register_profile(
    "test", max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TEST = settings.get_profile("test")
settings.register_profile("check", parent=TEST, max_examples=25)
settings.register_profile("all", parent=TEST, max_examples=500)
settings.register_profile(
    "first-failure",
    parent=TEST,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target],
    report_multiple_bugs=False,
)

SERVERS = {"postgres", "valkey", "new_cluster", "own_valkey"}
ROOT = Path(__file__).parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--all`: every test runs, also those of which otherwise a part runs."""
    parser.addoption("--all", action="store_true", help="run everything, nothing in rotation")


def pytest_configure(config: pytest.Config) -> None:
    """Load a profile of hypothesis: `all` with `--all`, else `test`, unless an option names another."""
    if not config.getoption("--hypothesis-profile"):
        settings.load_profile("all" if config.getoption("--all") else "test")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests whose fixtures start a server, which `./just check` leaves out, and sort the files."""
    for item in items:
        if SERVERS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("server")
    if hasattr(config, "workerinput"):
        put_long_files_first(items)


def put_long_files_first(items: list[pytest.Item]) -> None:
    """Sort files: the longest of the committed budgets first, then those that start processes.

    A free process of xdist takes the next file, so a long file at the end would run beside none.
    """
    from budgets import LONGEST, load  # noqa: PLC0415 -- a plugin: pytest imports it after this file

    counts = Counter(item.path for item in items)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    seconds = {ROOT / name: spent for name, spent in load().get(LONGEST, {}).items()}
    items.sort(
        key=lambda item: (-seconds.get(item.path, 0), item.path not in slow, -counts[item.path], item.path)
    )

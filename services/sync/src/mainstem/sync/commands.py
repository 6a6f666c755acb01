"""Commands of `mainstem sync`: serve, work."""

from cyclopts import App

from mainstem.sync.settings import Settings

app = App(name="sync", help="Contacts, and what the marketing platforms know of them.")


@app.command
def serve() -> None:
    """Serve the contact API on MAINSTEM_HOST and MAINSTEM_PORT until SIGTERM."""
    # Imported here, so that `--help` does not wait for them.
    from mainstem.common.http import app as web  # noqa: PLC0415 -- see above
    from mainstem.sync.app import build  # noqa: PLC0415 -- see above

    settings = Settings.from_environment()
    web.serve(build(settings), settings)


@app.command
def work() -> None:
    """Relay and deliver until SIGTERM; health is served on MAINSTEM_HOST and MAINSTEM_PORT."""
    # Imported here, so that `--help` does not wait for them.
    from mainstem.common.http import app as web  # noqa: PLC0415 -- see above
    from mainstem.sync.worker import build  # noqa: PLC0415 -- see above

    settings = Settings.from_environment()
    web.serve(build(settings), settings)

"""`mainstem billing`."""

from cyclopts import App

from mainstem.billing.settings import Settings

app = App(name="billing", help="Accounts, checkout and portal, links, seats, entitlements.")


@app.command
def serve() -> None:
    """Serve HTTP on MAINSTEM_HOST and MAINSTEM_PORT until SIGTERM."""
    # Imported here, so that `--help` does not wait for them.
    from mainstem.billing.app import build  # noqa: PLC0415 -- see above
    from mainstem.common import web  # noqa: PLC0415 -- see above

    settings = Settings.from_environment()
    web.serve(build(settings), settings)

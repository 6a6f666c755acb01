"""`mainstem billing`."""

from cyclopts import App

from mainstem.billing.settings import Settings

app = App(name="billing", help="Accounts, checkout and portal, links, seats, entitlements.")


@app.command
def serve(*, host: str | None = None, port: int | None = None) -> None:
    """Serve HTTP until SIGTERM.

    Args:
        host: address to listen on, instead of MAINSTEM_HOST.
        port: port to listen on, instead of MAINSTEM_PORT.
    """
    # Imported here, so that `--help` does not wait for them; the same below.
    from mainstem.billing.app import build  # noqa: PLC0415 -- see above
    from mainstem.common.http import app as web  # noqa: PLC0415 -- see above

    settings = _settings(host, port)
    web.serve(build(settings), settings)


@app.command
def work(*, host: str | None = None, port: int | None = None) -> None:
    """Finish what was begun at Stripe until SIGTERM; health and metrics are served meanwhile.

    Args:
        host: address to listen on, instead of MAINSTEM_HOST.
        port: port to listen on, instead of MAINSTEM_PORT.
    """
    from mainstem.billing.worker import build  # noqa: PLC0415 -- see above
    from mainstem.common.http import app as web  # noqa: PLC0415 -- see above

    settings = _settings(host, port)
    web.serve(build(settings), settings)


def _settings(host: str | None, port: int | None) -> Settings:
    given = {"host": host, "port": port}
    settings = Settings.from_environment()
    return settings.model_copy(update={name: value for name, value in given.items() if value is not None})

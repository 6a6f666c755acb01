"""Command that serves the gateway's HTTP process."""

from mainstem.gateway.settings import Settings


def serve(*, host: str | None = None, port: int | None = None) -> None:
    """Serve HTTP until SIGTERM.

    Args:
        host: address to listen on; replaces MAINSTEM_HOST.
        port: port to listen on; replaces MAINSTEM_PORT.
    """
    # Imported here, so that the other commands do not wait for them.
    from mainstem.common.http import app as web  # noqa: PLC0415 -- see above
    from mainstem.gateway.app import build  # noqa: PLC0415 -- see above

    given = {"host": host, "port": port}
    settings = Settings.from_environment()
    settings = settings.model_copy(update={name: value for name, value in given.items() if value is not None})
    web.serve(build(settings), settings)

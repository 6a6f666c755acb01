"""Commands `serve` and `work`: the two processes of ingest."""

from mainstem.ingest.settings import Settings


def serve(*, host: str | None = None, port: int | None = None) -> None:
    """Serve HTTP until SIGTERM.

    Args:
        host: address to listen on, instead of MAINSTEM_HOST.
        port: port to listen on, instead of MAINSTEM_PORT.
    """
    from mainstem.common.http import app as web  # noqa: PLC0415 -- so that `--help` does not wait for it
    from mainstem.ingest.app import build  # noqa: PLC0415 -- so that `--help` does not wait for it

    settings = _settings(host, port)
    web.serve(build(settings), settings)


def work(*, host: str | None = None, port: int | None = None) -> None:
    """Process recorded events until SIGTERM; health and metrics are served meanwhile.

    Args:
        host: address to listen on, instead of MAINSTEM_HOST.
        port: port to listen on, instead of MAINSTEM_PORT.
    """
    from mainstem.common.http import app as web  # noqa: PLC0415 -- so that `--help` does not wait for it
    from mainstem.ingest.worker import build  # noqa: PLC0415 -- so that `--help` does not wait for it

    settings = _settings(host, port)
    web.serve(build(settings), settings)


def _settings(host: str | None, port: int | None) -> Settings:
    given = {"host": host, "port": port}
    settings = Settings.from_environment()
    return settings.model_copy(update={name: value for name, value in given.items() if value is not None})

"""The one script, `mainstem <service> <command>`: each distribution registers its own by an entry point."""

import sys
from importlib.metadata import EntryPoint, entry_points

from cyclopts import App

from mainstem.common.errors import MainstemError
from mainstem.common.settings import SettingsError

GROUP = "mainstem.commands"


def main(arguments: list[str] | None = None) -> None:
    """Run a command; errors that we know end in one clear text and exit code 1."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        build(arguments)(arguments)
    except (MainstemError, SettingsError) as error:
        sys.exit(f"mainstem: {error}")


def build(arguments: list[str]) -> App:
    """Return the script's commands: only the named service's are loaded, since the others cost a second."""
    points = {point.name: point for point in entry_points(group=GROUP)}
    wanted = [points[name] for name in arguments[:1] if name in points] or list(points.values())
    app = App(name="mainstem", help="One dependable stream of subscription facts.")
    for point in sorted(wanted, key=_by_name):
        app.command(point.load(), name=point.name)
    return app


def _by_name(point: EntryPoint) -> str:
    return point.name

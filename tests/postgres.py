"""PostgreSQL from Debian's package, on a unix socket in a folder of its own: the journal's other database."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psycopg

if TYPE_CHECKING:
    from typing import Self

SOCKET_BYTES = 100  # a unix socket's path is limited to 107 bytes on Linux, to 103 on others
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "max_wal_size": "256MB",
    "logging_collector": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
# The server ends when this shell reads a signal's name, and when the tests are gone: then with its folder.
KEEPER = """
folder=$1; shift
"$@" </dev/null >>"$folder/log" 2>&1 &
read -r how
kill -s "${how:-QUIT}" $! 2>/dev/null
wait $!
[ -n "$how" ] || rm -rf "$folder"
"""


class Postgres:
    """A database server that a test may stop and start; a context manager that leaves nothing.

    It runs as an unprivileged user, for `initdb` refuses root.

    Args:
        programs: The folder with ``initdb`` and ``postgres``, as `installed` finds it.

    Attributes:
        folder: Where its data, its socket and its log are.
    """

    def __init__(self, programs: Path) -> None:
        self.folder = _room()
        self._programs = programs
        self._names = count(1)
        self._keeper: subprocess.Popen[bytes] | None = None
        self._as = _unprivileged()

    @staticmethod
    def installed() -> Path | None:
        """Where the server programs are; None where they are not installed."""
        known = shutil.which("initdb")
        debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
        newest_first = sorted(debian, key=lambda path: int(path.parts[-3]), reverse=True)
        for found in [*([Path(known).resolve()] if known else []), *newest_first]:
            if (found.parent / "postgres").exists():
                return found.parent
        return None

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._keeper is not None

    def database(self) -> str:
        """Make an empty database, and return its URL for SQLAlchemy."""
        name = f"journal_{next(self._names)}"
        with self._connected() as connection:
            connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[call-overload]  # our own name
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"

    def start(self) -> None:
        """Start it, with the data that it had, and wait until it answers."""
        assert self._keeper is None, "it is running"
        settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        server = [str(self._programs / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder)]
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", KEEPER, "sh", str(self.folder), *server, *settings],
            stdin=subprocess.PIPE,
            cwd=self.folder,
            env=_environment(),
            start_new_session=True,  # a Ctrl-C in the terminal is none of its business
            **self._as,
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                self._connected().close()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise AssertionError(f"PostgreSQL did not start: {self.log()}") from error
                time.sleep(0.02)
            else:
                return

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop it; its data stays. Does nothing where it is stopped.

        Args:
            mode: ``fast`` ends every session in order, ``immediate`` is a crash that `start` recovers from.
        """
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        assert keeper.stdin is not None
        try:
            with keeper.stdin as tell:
                tell.write({"fast": b"INT\n", "immediate": b"QUIT\n"}[mode])
            keeper.wait(20)
        finally:
            if keeper.poll() is None:
                os.killpg(keeper.pid, 9)  # its sessions end when they notice
                keeper.wait()

    def log(self) -> str:
        """The last lines that the server wrote."""
        file = self.folder / "log"
        return "\n".join(file.read_text(errors="replace").splitlines()[-20:]) if file.exists() else "no log"

    def __enter__(self) -> Self:
        try:
            self._initialise()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop("immediate")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _initialise(self) -> None:
        self.folder.mkdir(mode=0o700)
        if "user" in self._as:
            os.chown(self.folder, self._as["user"], self._as["group"])
        command = [str(self._programs / "initdb"), "-D", str(self.folder / "data"), "-U", "postgres"]
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        done = subprocess.run(
            [*command, *options],
            cwd=self.folder,
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
            **self._as,
        )
        assert done.returncode == 0, f"initdb failed: {done.stdout}{done.stderr}"

    def _connected(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=str(self.folder), user="postgres", dbname="postgres", autocommit=True, connect_timeout=10
        )


def _room() -> Path:
    """A name for a folder that is free, short enough for a socket, and can be reached by another user."""
    for parent in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):  # noqa: S108  # names are random
        folder = parent / f"pg-{os.getpid()}-{os.urandom(4).hex()}"
        reachable = all(above.stat().st_mode & 0o001 for above in (parent, *parent.parents))
        if len(os.fsencode(folder / ".s.PGSQL.5432.lock")) <= SOCKET_BYTES and reachable:
            return folder
    raise AssertionError("no temporary folder has a path short enough for a unix socket")


def _unprivileged() -> dict[str, Any]:
    """Whom the server runs as, in the words of `subprocess`: root becomes somebody else."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise AssertionError("PostgreSQL refuses root, and there is neither a user postgres nor nobody")


def _environment() -> dict[str, str]:
    """Without the variables that change what PostgreSQL does."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PG", "HERCLE_"))}

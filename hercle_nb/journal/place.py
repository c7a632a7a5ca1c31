"""Where a journal is: a file, or any database that SQLAlchemy reaches; and what is wrong with a place."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from hercle_nb.config import SECRET_WORDS, Secret
from hercle_nb.errors import ConfigurationError, JournalError

if TYPE_CHECKING:
    from collections.abc import Iterator

_FORM = "write a path, or an SQLAlchemy URL such as postgresql+psycopg://user@host/database"
_BUSY = 5.0  # seconds that a locked file, or a server that does not answer, is waited for
_PLAIN_SQLITE = ("sqlite", "sqlite+pysqlite")
_SQLITE = b"SQLite format 3\0"
_REMOTE = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|afs|afpfs|ncpfs|9p|ceph|glusterfs|lustre|beegfs|gpfs|wekafs|ocfs2|gfs2|davfs|"
    r"drvfs|vboxsf|prl_fs|"  # another system's disk, shared with this one
    r"fuse\.(sshfs|ceph|ceph-fuse|glusterfs|mount\.glusterfs|davfs2?|s3fs|rclone|gcsfuse|blobfuse2?|smbnetfs|"
    r"juicefs|curlftpfs|gvfsd-fuse)"
)
_WHY = {  # the beginning of SQLite's name for an error: what it means, and what to do
    "SQLITE_FULL": "the disk is full; free some space",
    "SQLITE_READONLY": "it is read-only; make the file and its folder writable",
    "SQLITE_BUSY": "another program holds it locked; close that program",
    "SQLITE_LOCKED": "another program holds it locked; close that program",
    "SQLITE_NOTADB": "it is no SQLite database; choose another file",
    "SQLITE_CORRUPT": "the file is damaged; put a copy of it in its place, or choose another file",
    "SQLITE_CANTOPEN": "it cannot be opened; look whether its folder is there and writable",
    "SQLITE_IOERR": "the disk failed; look whether it is there and has space",
}
_INSTALLED_BY = {"psycopg": "hercle_nb[postgres]", "MySQLdb": "mysqlclient"}  # else by the module's own name
_WAY_OUT = "journal=False in hercle.connect() does without one."


@dataclass(frozen=True, repr=False)
class Place:
    """Where a journal is; no text of it shows a password.

    Attributes:
        url: As SQLAlchemy takes it.
        file: The file of an SQLite database; None for a server's.
        own: It is the file that nobody named, in the user's data folder.
    """

    url: sa.URL
    file: Path | None = None
    own: bool = False

    def __str__(self) -> str:
        if self.file is not None:
            with contextlib.suppress(ValueError, RuntimeError):
                return str(Path("~") / self.file.relative_to(Path.home()))
            return str(self.file)
        secret = [name for name in self.url.query if any(word in name.lower() for word in SECRET_WORDS)]
        return self.url.difference_update_query(secret).render_as_string(hide_password=True)

    def __repr__(self) -> str:
        return f"<journal {self}>"

    def error(self, why: str) -> JournalError:
        """A sentence that names the journal."""
        return JournalError(f"The journal {self}: {why}. {_WAY_OUT}")

    def explained(self, error: Exception) -> JournalError:
        """What an error of the database's means, and what to do."""
        if isinstance(error, JournalError):
            return error
        original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        name = getattr(original, "sqlite_errorname", "") or ""
        if name.startswith("SQLITE_IOERR") and self.file is not None:
            with contextlib.suppress(OSError):
                if shutil.disk_usage(self.file.parent).free < 1 << 16:
                    name = "SQLITE_FULL"
        for beginning, why in _WHY.items():
            if name.startswith(beginning):
                return self.error(why)
        words = " ".join(str(original).split())
        return self.error(f"the database says {words[:300]!r}")

    def engine(self) -> sa.Engine:
        """Make an engine; it connects when it is first used."""
        arguments: dict[str, Any] = {}
        if self.file is not None:
            arguments = {"timeout": _BUSY}
        elif self.url.drivername == "postgresql+psycopg":
            arguments = {"connect_timeout": int(_BUSY), "application_name": "hercle_nb"}
        engine = sa.create_engine(
            self.url, connect_args=arguments, pool_size=1, max_overflow=0, hide_parameters=True
        )
        if self.file is not None:
            sa.event.listen(engine, "connect", _prepare)
            sa.event.listen(engine, "begin", _begin)
        return engine

    def make_file(self) -> Path | None:
        """Look whether a file can be the journal, and make it for this user alone if it is missing.

        Returns:
            The file if it was made.

        Raises:
            JournalError: It cannot; it was left as it is.
        """
        file = self.file
        if file is None:
            return None
        try:
            if self._is_usable(file):
                return None
            if self.own:
                file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:  # another kernel was quicker
            return None
        except OSError as error:
            if isinstance(error, JournalError):
                raise
            raise self.error(_os_advice(error)) from error
        return file

    def check_file(self) -> None:
        """Look whether a file can be the journal, and make none.

        Raises:
            JournalError: It cannot.
        """
        if self.file is None:
            return
        try:
            there = self._is_usable(self.file)
            folder = next(parent for parent in self.file.parents if parent.exists())
            is_folder = folder.is_dir()
        except JournalError:
            raise
        except OSError as error:
            raise self.error(_os_advice(error)) from error
        if not is_folder:
            raise self.error(_WHY["SQLITE_CANTOPEN"])
        # SQLite writes two more files beside it
        if not os.access(folder, os.W_OK | os.X_OK) or (there and not os.access(self.file, os.W_OK)):
            raise self.error(_WHY["SQLITE_READONLY"])

    def _is_usable(self, file: Path) -> bool:
        """Whether there is a file, which then can be a journal."""
        if file.is_dir():
            raise self.error("it is a folder; name a file in it")
        kind = file_system(Path(os.path.realpath(file)).parent)
        if kind is not None and _REMOTE.fullmatch(kind):
            raise self.error(
                f"it is on a network drive ({kind}), where SQLite's locks do not hold; name a file on a "
                "disk of this computer, or a PostgreSQL database for several computers"
            )
        if not file.exists():
            return False
        self._look_into(file)
        return True

    def _look_into(self, file: Path) -> None:
        if not file.is_file():
            raise self.error("it is no ordinary file; name one")
        with file.open("rb") as opened:
            head = opened.read(len(_SQLITE))
        if head not in (b"", _SQLITE):
            raise self.error(_WHY["SQLITE_NOTADB"])


def find_place(journal: Any, environment: str) -> Place | None:
    """The place that the argument ``journal`` of `connect` means; None for no journal.

    Raises:
        ConfigurationError: It means none.
    """
    if journal is False or (journal is None and environment == "simulator"):
        return None
    if journal is None:
        import platformdirs

        folder = platformdirs.user_data_path("hercle_nb", appauthor=False)
        return _file_place(folder / f"{environment}.sqlite3", own=True)
    if isinstance(journal, bool) or not isinstance(journal, str | os.PathLike) or not os.fspath(journal):
        shown = repr(journal) if isinstance(journal, bool) else type(journal).__name__
        raise ConfigurationError(f"journal must be a path or a URL, None or False, not {shown}; {_FORM}.")
    text = os.fspath(journal)
    if not isinstance(text, str):
        raise ConfigurationError(f"journal is a path in bytes; {_FORM}.")
    if "://" not in text:
        return _file_place(Path(text))
    return _url_place(Secret(text))


def file_system(folder: Path, mounts: str | None = None) -> str | None:
    """The type of a folder's file system, such as ``ext4`` or ``nfs4``; None where it cannot be told.

    Args:
        folder: The folder.
        mounts: What the kernel says of mounts, as in ``/proc/self/mountinfo``; None reads it.
    """
    if sys.platform == "win32":
        import ctypes

        drive = os.path.splitdrive(os.path.realpath(folder))[0]
        remote = drive.startswith("\\\\") or ctypes.windll.kernel32.GetDriveTypeW(f"{drive}\\") == 4
        return "smb" if remote else None
    if mounts is None:
        try:
            mounts = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
        except OSError:  # assumed: nobody mounts a home folder over the network on such a system
            return None
    real = Path(os.path.realpath(folder))
    found = [kind for point, kind in _mounted(mounts) if real.is_relative_to(point)]
    return found[-1] if found else None


def _mounted(mounts: str) -> Iterator[tuple[str, str]]:
    """Each mount point and its type, the inner and the later ones last."""
    entries = []
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) >= 5 and after:
            point = re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), fields[4])
            entries.append((point, after.split()[0]))
    return iter(sorted(entries, key=lambda entry: len(entry[0])))


def _file_place(file: Path, *, own: bool = False) -> Place:
    try:
        file = file.expanduser().absolute()
    except RuntimeError:
        file = Path()
    if not file.name:
        raise ConfigurationError(f"journal names no file; {_FORM}.")
    return Place(sa.URL.create("sqlite", database=str(file)), file, own)


def _url_place(text: str) -> Place:
    # what failed is raised outside of its except block: the frames of the original hold the URL's password
    place, problem = _parsed(text)
    if problem:
        raise ConfigurationError(f"journal {problem}")
    file = place.url.database or ""
    if place.url.get_backend_name() != "sqlite":
        return place
    plain = place.url.render_as_string(hide_password=False) == f"{place.url.drivername}:///{file}"
    if place.url.drivername not in _PLAIN_SQLITE or not plain or file.startswith((":memory:", "file:")):
        raise ConfigurationError(f"journal must be a plain file if it is one of SQLite; {_FORM}.")
    return _file_place(Path(file))


def _parsed(text: str) -> tuple[Place, str]:
    """A URL as SQLAlchemy reads it, and what is wrong with it."""
    nothing = Place(sa.URL.create("sqlite"))
    try:
        place = Place(sa.make_url(text))
        if place.url.drivername in ("postgresql", "postgres"):
            place = Place(place.url.set(drivername="postgresql+psycopg"))
        dialect = place.url.get_dialect()
        dialect.import_dbapi()
    except ImportError as error:
        name = error.name or "a driver"
        extra = _INSTALLED_BY.get(name, name)
        return nothing, f"needs {name}, which is not installed; run pip install '{extra}'."
    except (ArgumentError, NoSuchModuleError, ValueError):
        return nothing, f"cannot be read as a URL; {_FORM}."
    if dialect.is_async:
        return nothing, f"names an asynchronous driver, {place.url.drivername}; {_FORM}."
    return place, ""


def _prepare(connection: Any, _record: Any) -> None:
    """A new connection to a file: transactions begin where we say, and are on the disk when they end."""
    connection.isolation_level = None
    connection.execute("PRAGMA synchronous=FULL")


def _begin(connection: sa.Connection) -> None:
    reading = connection.get_execution_options().get("reading")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _os_advice(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "its folder does not exist; make it first"
    if error.errno == errno.ENOSPC:
        return _WHY["SQLITE_FULL"]
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return _WHY["SQLITE_READONLY"]
    return f"it cannot be made ({error.strerror or error})"

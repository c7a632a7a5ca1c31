"""Files that are complete or absent, whatever interrupts the writing."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

_ADVICE = {
    errno.ENOENT: "the folder does not exist; make it first, or write elsewhere",
    errno.ENOTDIR: "a part of the path is a file; write elsewhere",
    errno.EEXIST: "a file of that name is in the way; move it, or write elsewhere",
    errno.EISDIR: "it is a folder; name a file in it",
    errno.ENOSPC: "the disk is full; free some space, or write elsewhere",
    errno.EDQUOT: "your share of the disk is used up; free some space, or write elsewhere",
    errno.EROFS: "the file system is read-only; write elsewhere",
    errno.EACCES: "you may not write there; change its permissions, or write elsewhere",
    errno.EPERM: "you may not write there; change its permissions, or write elsewhere",
}


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of ``path`` if the block ends well; else nothing has changed.

    It is written aside, in the same folder under a name that starts with a dot, synced and renamed.

    Raises:
        OSError: It cannot be written.
    """
    target = Path(os.path.realpath(path))  # a link stays, what it points to is replaced
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "it is not an ordinary file")
    unfinished = target.with_name(f".unfinished-{secrets.token_hex(8)}")
    try:
        with unfinished.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, unfinished)
        unfinished.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
    _sync(target.parent)


@contextmanager
def explained(path: Path, unharmed: str = "The log in memory is unharmed.") -> Iterator[None]:
    """Raise an OSError of the block again, as one of the same class and number that says what to do."""
    try:
        yield
    except OSError as error:
        number = error.errno or errno.EIO
        advice = _ADVICE.get(number, f"{error.strerror or error}; try again, or write elsewhere")
        raise OSError(number, f"{path} could not be written: {advice}. {unharmed}") from error


def make_folder(folder: Path, *, parents: bool = True) -> None:
    """Make a folder that is missing, with ``parents`` those above it too.

    Raises:
        OSError: It cannot be made.
    """
    if not folder.is_dir():
        folder.mkdir(parents=parents, exist_ok=True)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    """Make a new name in a folder durable, where the file system can."""
    if os.name == "posix":
        with contextlib.suppress(OSError):  # the file itself is safe; not every file system knows this
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

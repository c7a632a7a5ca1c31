"""Files that are to be journals: made, used as they are, or refused and left as they are."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
import subprocess
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import hercle_nb as hercle
from hercle_nb.journal import place as journal_place
from tests.journals import NOBODY, opens, refused
from tests.rows import fill, small_disk
from tests.servers import KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def as_it_was(file: Path) -> Iterator[None]:
    """Look whether a file is byte for byte what it was, and has no new one beside it."""
    before, beside = file.read_bytes(), sorted(file.parent.iterdir())
    yield
    assert file.read_bytes() == before
    assert sorted(file.parent.iterdir()) == beside


# -- files that are made, and files that are there ----------------------------------------------------------


def mode(path: Path) -> int:
    """A file's or folder's permissions."""
    return stat.S_IMODE(path.stat().st_mode)


def test_modes_of_what_is_made(tmp_path: Path) -> None:
    """The default's folder and every file that is made are this user's alone, whatever the umask."""
    before = os.umask(0)
    try:
        opens(None)
        opens(tmp_path / "a.db")
    finally:
        os.umask(before)
    folder = Path(os.environ["XDG_DATA_HOME"]) / "hercle_nb"
    assert [mode(folder), mode(folder / "sandbox.sqlite3"), mode(tmp_path / "a.db")] == [0o700, 0o600, 0o600]


def test_modes_of_what_is_there(tmp_path: Path) -> None:
    """A file and a folder that somebody made keep the permissions that they have; an empty file will do."""
    folder = Path(os.environ["XDG_DATA_HOME"]) / "hercle_nb"
    folder.mkdir(parents=True)
    for file in (folder / "sandbox.sqlite3", tmp_path / "a.db"):
        file.touch()
        file.parent.chmod(0o750)
        file.chmod(0o640)
        opens(None if file.parent == folder else file)
        assert (mode(file), mode(file.parent)) == (0o640, 0o750)
        assert file.stat().st_size


def test_an_environment_each() -> None:
    """Nothing is made for the simulator, nor for an environment that nobody connects to."""
    with hercle.connect("simulator") as hub:
        assert "Journal" not in repr(hub)
    assert not Path(os.environ["XDG_DATA_HOME"]).exists()


def journal_in(folder: Path) -> Path:
    """A journal that was used and closed."""
    opens(folder / "journal.db")
    return folder / "journal.db"


def of_another_program(file: Path) -> None:
    """Make an SQLite file that is no journal."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE recipes (name)")


def newer(file: Path) -> None:
    """Make a journal as a later version of this package would."""
    opens(file)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE hercle_journal SET version = 3")


def cut(at: int | float) -> Callable[[Path], None]:
    """A maker of a journal that was cut off."""

    def make(file: Path) -> None:
        opens(file)
        os.truncate(file, at if isinstance(at, int) else int(file.stat().st_size * at))

    return make


def overwritten(start: int, end: int) -> Callable[[Path], None]:
    """A maker of a journal of which some bytes are others."""

    def make(file: Path) -> None:
        opens(file)
        with file.open("r+b") as opened:
            opened.seek(start)
            opened.write(b"\xff" * (end - start))

    return make


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(lambda file: file.write_text("Dear diary"), "no SQLite database", id="text"),
        pytest.param(lambda file: file.write_bytes(b"S"), "no SQLite database", id="a byte"),
        pytest.param(lambda file: file.write_bytes(os.urandom(9_000)), "no SQLite database", id="noise"),
        pytest.param(of_another_program, "another program", id="another program's"),
        pytest.param(newer, r"newer hercle_nb.*version 3.*knows 2.*pip install --upgrade", id="newer"),
        pytest.param(cut(50), "damaged", id="half a header"),
        pytest.param(cut(4_096), "damaged", id="a page"),
        pytest.param(cut(0.5), "damaged", id="half"),
        pytest.param(overwritten(16, 100), "damaged|no SQLite", id="bad header"),
        pytest.param(overwritten(100, 4_096), "damaged", id="bad first page"),
        pytest.param(overwritten(4_096, 1 << 15), "damaged", id="bad pages"),
    ],
)
def test_files_that_are_none(make: Callable[[Path], object], says: str, tmp_path: Path) -> None:
    """A file that is no journal of this version is refused and left as it is."""
    file = tmp_path / "a.db"
    make(file)
    with as_it_was(file):
        assert re.search(says, refused(file))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(lambda path: path.mkdir(), "a folder; name a file", id="a folder"),
        pytest.param(lambda path: os.mkfifo(path), "no ordinary file", id="a pipe"),
        pytest.param(lambda path: path.symlink_to("/dev/null"), "no ordinary file", id="a device"),
    ],
)
def test_what_is_no_file(make: Callable[[Path], None], says: str, tmp_path: Path) -> None:
    """What is no ordinary file is refused at once, and never opened: a pipe would wait for a writer."""
    make(tmp_path / "a")
    assert re.search(says, refused(tmp_path / "a", timeout=3))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_missing_folder(tmp_path: Path) -> None:
    """A folder that nobody made is not made; a file is no folder; a link that leads nowhere says so."""
    assert "folder does not exist" in refused(tmp_path / "none" / "a.db")
    (tmp_path / "file").touch()
    assert refused(tmp_path / "file" / "a.db")
    (tmp_path / "link").symlink_to(tmp_path / "none" / "a.db")
    assert refused(tmp_path / "link")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_a_path_that_is_none(tmp_path: Path) -> None:
    """A path that no system takes is refused as any other."""
    assert refused(tmp_path / ("a" * 300))
    with pytest.raises(hercle.HercleError, match="journal"):
        hercle.connect(url=NOBODY, api_key=KEY, journal=f"{tmp_path}/a\0b")


def test_a_read_only_disk() -> None:
    """On a disk that takes no writing neither a new journal nor one that is there can be used."""
    with small_disk(read_only=True) as disk:
        assert "read-only" in refused(disk / "a.db")
    with small_disk() as disk:
        file = journal_in(disk)
        mount = shutil.which("mount") or "mount"
        subprocess.run([mount, "-o", "remount,ro", disk], check=True)
        with as_it_was(file):
            assert re.search("read-only|writable", refused(file))


def test_a_full_disk() -> None:
    """A full disk is named, and no empty file is left behind."""
    with small_disk() as disk:
        fill(disk)
        assert "the disk is full; free some space" in refused(disk / "a.db")
        assert [path.name for path in disk.iterdir()] == ["filler"]


def test_a_locked_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that another program keeps locked is refused after a while, and works once it is free."""
    monkeypatch.setattr(journal_place, "_BUSY", 0.3)
    file = journal_in(tmp_path)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with as_it_was(file):
            assert "another program holds it locked" in refused(file)
        other.execute("ROLLBACK")
    opens(file)


def test_what_failed_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that could not be opened is tried once: closing must not wait for it, nor make it."""
    made = []
    real = journal_place.Place.make_file

    def count(self: journal_place.Place) -> Path | None:
        made.append(self)
        return real(self)

    monkeypatch.setattr(journal_place.Place, "make_file", count)
    refused(tmp_path / "none" / "a.db")
    assert len(made) == 1

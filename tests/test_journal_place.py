"""Where a journal may be: what the argument means, which file systems, which databases."""

from __future__ import annotations

import os
import re
import traceback
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import hercle_nb as hercle
from hercle_nb.config import hidden
from hercle_nb.journal import place as journal_place
from hercle_nb.journal.place import file_system, find_place
from tests.journals import NOBODY, opens, refused
from tests.servers import KEY

PASSWORD = "hunter2-hunter2"
MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:5 / /proc rw,nosuid shared:2 - proc proc rw
30 22 0:40 /export /home rw,relatime shared:9 master:1 - nfs4 server:/export rw,vers=4.2
31 30 8:2 / /home/ann/local rw - xfs /dev/sdb1 rw
32 22 0:41 / /media/share rw - cifs //server/share rw
33 22 0:42 / /media/ssh rw - fuse.sshfs ann@server: rw
34 22 0:43 / /mnt/with\\040space rw - 9p host rw
35 22 0:44 / /mnt/twice rw - tmpfs none rw
36 35 0:45 / /mnt/twice rw - nfs server:/x rw
37 22 0:46 / /mnt/back\\134slash rw - smb3 //server/x rw
38 22 0:47 / /homestead rw - btrfs /dev/sdc rw
this line is none
39 22 0:48 / /odd rw
"""


def shown_by(error: BaseException) -> str:
    """All that anybody shows of an error: causes and contexts too, with each frame's variables."""
    parts = []
    seen: BaseException | None = error
    while seen is not None:
        told = traceback.TracebackException.from_exception(seen, capture_locals=True)
        parts += told.format()
        seen = seen.__cause__ or seen.__context__
    return "".join(parts)


# -- what the argument means --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("journal", "environment"),
    [(None, "simulator"), *((False, name) for name in ("simulator", "sandbox", "production"))],
)
def test_none(journal: Any, environment: str) -> None:
    """The simulator has no journal unless it is given one, and `False` means none everywhere."""
    assert find_place(journal, environment) is None


@pytest.mark.parametrize("environment", ["sandbox", "production"])
def test_the_default(environment: str) -> None:
    """Each environment has a file of its own in the user's data folder."""
    place = find_place(None, environment)
    assert place is not None
    assert place.own
    assert place.file == Path(os.environ["XDG_DATA_HOME"]) / "hercle_nb" / f"{environment}.sqlite3"


class Anywhere:
    """A path of somebody's own."""

    def __fspath__(self) -> str:
        return "/somewhere/a.db"


@pytest.mark.parametrize(
    ("journal", "file"),
    [
        ("/somewhere/a.db", "/somewhere/a.db"),
        (Path("/somewhere/a.db"), "/somewhere/a.db"),
        (Anywhere(), "/somewhere/a.db"),
        ("a.db", "{here}/a.db"),
        ("sub/a.db", "{here}/sub/a.db"),
        ("~/a.db", "{home}/a.db"),
        (Path("~/a.db"), "{home}/a.db"),
        ("sqlite:////somewhere/a.db", "/somewhere/a.db"),
        ("sqlite:///a.db", "{here}/a.db"),
        ("sqlite:///~/a.db", "{home}/a.db"),
        ("sqlite+pysqlite:////somewhere/a.db", "/somewhere/a.db"),
        ("with space and ä%20.db", "{here}/with space and ä%20.db"),
    ],
)
def test_files(journal: Any, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path, or SQLite's URL of one, is a file; `~` is the user's folder, and the rest is looked up here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ann")
    place = find_place(journal, "simulator")
    assert place is not None
    assert place.file == Path(file.format(here=tmp_path, home="/home/ann"))
    assert not place.own
    assert place.url.database == str(place.file)
    assert str(place) == file.format(here=tmp_path, home="~")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_servers(scheme: str) -> None:
    """PostgreSQL is reached by psycopg, whichever of its names is written."""
    place = find_place(hidden(f"{scheme}://ann:{PASSWORD}@db.example:5433/books?host=/run/pg"), "sandbox")
    assert place is not None
    assert (place.url.drivername, place.file) == ("postgresql+psycopg", None)
    assert (place.url.password, place.url.port) == (PASSWORD, 5433)


@pytest.mark.parametrize(
    "journal",
    [
        f"postgresql://ann:{PASSWORD}@db.example/books",
        f"postgresql://db.example/books?user=ann&password={PASSWORD}",
        f"postgresql://ann@db.example/books?sslpassword={PASSWORD}&sslmode=require",
        f"postgresql://ann@db.example/books?auth_token={PASSWORD}",
    ],
)
def test_passwords_are_masked(journal: str) -> None:
    """No text of a place holds a password, wherever in the URL it stands."""
    place = find_place(hidden(journal), "sandbox")
    for shown in (str(place), repr(place), str(place and place.error("it failed"))):
        assert "db.example/books" in shown
        assert PASSWORD not in shown


# -- what is none -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("journal", "says"),
    [
        (True, "None or False, not True"),
        (7, "not int"),
        (0, "not int"),
        (1.5, "not float"),
        ("", "not "),
        (b"a.db", "bytes"),
        (object(), "not object"),
        ("sqlite://", "plain file"),
        ("sqlite:///:memory:", "plain file"),
        ("sqlite:///file:a?mode=memory&uri=true", "plain file"),
        ("sqlite:///a.db?timeout=3", "plain file"),
        ("sqlite://folder/a.db", ""),  # two slashes too few: that is a host
        ("sqlite+aiosqlite:///a.db", ""),
        (f"sqlite+pysqlcipher://:{PASSWORD}@/a.db", ""),  # who asks for encryption must not get none
        ("~nobody-of-that-name/a.db", ""),
        (f"nonsense://ann:{PASSWORD}@h/d", "cannot be read as a URL"),
        (f"postgresql+nonsense://ann:{PASSWORD}@h/d", "cannot be read as a URL"),
        (f"mysql+pymysql://ann:{PASSWORD}@h/d", "needs pymysql.*pip install"),
        (f"mysql://ann:{PASSWORD}@h/d", "needs MySQLdb.*pip install 'mysqlclient'"),
        (f"postgresql+psycopg_async://ann:{PASSWORD}@h/d", "asynchronous"),
        (f"postgresql://ann:{PASSWORD}@h:{PASSWORD}/d", "cannot be read as a URL"),
        (f"postgresql://ann:x@h:5432:{PASSWORD}/d", "cannot be read as a URL"),
        (f" postgresql://ann:{PASSWORD}@h/d", "cannot be read as a URL"),
        (f"://{PASSWORD}", "cannot be read as a URL"),
        ("https://example.com/a", "cannot be read as a URL"),
    ],
)
def test_what_is_no_journal(journal: Any, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What means no journal is refused with what to write instead; nothing is made or shown."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(hercle.ConfigurationError, match=f"journal .*{says}") as caught:
        find_place(hidden(journal), "sandbox")
    assert re.search(r"postgresql\+psycopg://user@host/database|pip install", str(caught.value))
    assert PASSWORD not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "nonsense://ann:{}@h/d",
        "mysql+pymysql://ann:{}@h/d",
        "postgresql+psycopg_async://ann:{}@h/d",
        "postgresql://ann:{0}@h:{0}/d",
        "postgresql://ann:x@h:5432:{}/d",
        "postgresql://ann:{}@[::1/d",
    ],
)
def test_no_traceback_of_a_url_holds_its_password(url: str) -> None:
    """Whatever is wrong with a URL, no error, cause or context of one shows the password in it."""
    error = refused_url(hidden(url.format(PASSWORD)))
    assert "[secure]" in shown_by(error)
    assert PASSWORD not in shown_by(error)


def refused_url(journal: Any) -> BaseException:
    """The error of `connect`, from a frame that holds no plain URL."""
    with pytest.raises(hercle.ConfigurationError) as caught:
        hercle.connect(url=NOBODY, api_key=KEY, journal=journal)
    return caught.value


# -- on which file systems ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", "ext4"),
        ("/var/lib", "ext4"),
        ("/home", "nfs4"),
        ("/home/ann/books", "nfs4"),
        ("/home/ann/local/books", "xfs"),
        ("/home/ann/locally", "nfs4"),
        ("/homestead/a", "btrfs"),
        ("/media/share/a", "cifs"),
        ("/media/ssh", "fuse.sshfs"),
        ("/mnt/with space/a", "9p"),
        ("/mnt/twice", "nfs"),
        ("/mnt/back\\slash", "smb3"),
        ("/odd", "ext4"),
    ],
)
def test_file_system(folder: str, kind: str) -> None:
    """A folder is on the innermost mount around it, and on the later of two at one place."""
    assert file_system(Path(folder), MOUNTS) == kind


def test_file_system_of_nothing() -> None:
    """Where the kernel says nothing, nothing is assumed; its own text can be read."""
    assert file_system(Path("/"), "") is None
    assert file_system(Path("/proc")) == "proc"


@pytest.mark.parametrize(
    ("kind", "remote"),
    [
        *((kind, True) for kind in ("nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "lustre")),
        *((f"fuse.{kind}", True) for kind in ("sshfs", "rclone", "glusterfs", "s3fs")),
        *((kind, False) for kind in ("ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk", "nfsd")),
    ],
)
def test_network_drives(kind: str, remote: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file on a network drive is refused before it is made, with PostgreSQL as the other way."""
    told = MOUNTS + f"99 22 0:99 / {tmp_path} rw - {kind} server:/x rw\n"
    monkeypatch.setattr(journal_place, "file_system", lambda folder: file_system(folder, told))
    file = tmp_path / "a.db"
    if remote:
        assert re.search(rf"network drive \({kind}\).*PostgreSQL", refused(file))
        assert not file.exists()
    else:
        opens(file)


def test_a_link_to_a_network_drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is a link is where it leads."""
    (tmp_path / "far").mkdir()
    (tmp_path / "a.db").symlink_to(tmp_path / "far" / "a.db")
    told = MOUNTS + f"99 22 0:99 / {tmp_path}/far rw - nfs4 server:/x rw\n"
    monkeypatch.setattr(journal_place, "file_system", lambda folder: file_system(folder, told))
    assert "network drive" in refused(tmp_path / "a.db")


# -- databases ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:{}@127.0.0.1:9/books",
        "postgresql://ann:{}@/books?host=/nowhere",
        "postgresql://ann@127.0.0.1:9/books?password={}",
        "postgresql://ann:{}@no-such-host.invalid/books",
    ],
)
def test_a_server_that_is_not_there(url: str) -> None:
    """A database that does not answer is named without its password, in tracebacks too."""
    pytest.importorskip("psycopg")
    journal = hidden(url.format(PASSWORD))
    del url
    with pytest.raises(hercle.JournalError, match=r"The journal postgresql\+psycopg://ann") as caught:
        hercle.connect(url=NOBODY, api_key=KEY, journal=journal)
    assert "books" in str(caught.value)
    assert "journal=False in hercle.connect() does without one." in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert PASSWORD not in shown_by(caught.value)


def test_a_database_that_others_use(postgres_url: str) -> None:
    """In a database on a server our tables stand beside other programs'; a newer version is left alone."""
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE recipes (name text)")
    opens(postgres_url)
    with engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM hercle_journal").scalar() == 1
        connection.exec_driver_sql("UPDATE hercle_journal SET version = 3, turn = 77")
    with pytest.raises(hercle.JournalError, match="newer hercle_nb"):
        hercle.connect(url=NOBODY, api_key=KEY, journal=postgres_url)
    with engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT turn FROM hercle_journal").scalar() == 77
    engine.dispose()

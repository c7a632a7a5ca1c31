"""`hercle.run`: blocking on any awaitable, and refusing where that would lose queued cells."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import hercle_nb as hercle
from hercle_nb import _run
from hercle_nb.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Generator

NEST = {(): "nest_asyncio", (1, 7, 4): "nest_asyncio2"}  # release of nest-asyncio2 → what is used


def run_program(program: str) -> list[str]:
    """Run a program of its own, since patching a loop patches the whole process; return its lines."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


class Waitable:
    """Something that is awaitable and no coroutine."""

    def __await__(self) -> Generator[Any, None, str]:
        """Wait one turn of the loop."""
        yield from asyncio.sleep(0).__await__()
        return "waited"


def test_without_a_loop() -> None:
    """Without a running loop any awaitable is waited for, and leaves no loop behind."""
    assert hercle.run(asyncio.sleep(0, "done")) == "done"
    assert hercle.run(Waitable()) == "waited"
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_errors_come_through() -> None:
    """What the awaitable raises, the caller gets."""

    async def fail() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        hercle.run(fail())


def test_importing_patches_nothing() -> None:
    """Importing the package and running without a loop bring neither nest-asyncio in."""
    lines = run_program("""
        import asyncio, sys
        import hercle_nb
        hercle_nb.run(asyncio.sleep(0))
        print([name for name in sys.modules if name.startswith("nest_asyncio")])
    """)
    assert lines == ["[]"]


@pytest.mark.parametrize("release", NEST)
def test_within_a_running_loop(release: tuple[int, ...]) -> None:
    """Within a running loop it blocks, nested too, while other tasks go on, with either nest-asyncio."""
    lines = run_program(f"""
        import asyncio, sys
        from hercle_nb import _run, run
        _run._release = lambda package: {release}

        async def other(event):
            for _ in range(5):
                await asyncio.sleep(0)
            event.set()

        async def outer(event):
            return run(event.wait()), run(asyncio.sleep(0, "inner"))

        async def main():
            event = asyncio.Event()
            task = asyncio.create_task(other(event))
            print(run(outer(event)))
            try:
                run(asyncio.wait_for(asyncio.Event().wait(), 0.001))
            except TimeoutError:
                print("raised")
            await task

        asyncio.run(main())
        print([name for name in sys.modules if name in ("nest_asyncio", "nest_asyncio2")])
    """)
    assert lines == ["(True, 'inner')", "raised", f"['{NEST[release]}']"]


def test_a_loop_that_cannot_be_patched() -> None:
    """A running loop of another make is refused with what to write instead."""
    lines = run_program("""
        import asyncio
        import hercle_nb

        class Other: pass

        waiting = asyncio.sleep(0, "by hand")
        asyncio._set_running_loop(Other())
        try:
            hercle_nb.run(waiting)
        except hercle_nb.ConfigurationError as error:
            print(error)
        asyncio._set_running_loop(None)
        print(hercle_nb.run(waiting))
    """)
    assert lines == ["The running loop (__main__) cannot be patched; write `await …` in the cell.", "by hand"]


@pytest.mark.parametrize("kernel", [(7, 1), (7, 4, 0), (8, 0)])
@pytest.mark.parametrize("nest2", [(), (1, 7, 3), (1, 6)])
def test_refused_where_cells_would_be_lost(
    monkeypatch: pytest.MonkeyPatch, kernel: tuple[int, ...], nest2: tuple[int, ...]
) -> None:
    """On ipykernel 7.1 and later without a right nest-asyncio2 it refuses and says what to install."""
    shown = ".".join(map(str, kernel))
    releases = {"nest-asyncio2": nest2, "ipykernel": kernel, "nest-asyncio": (1, 6, 0)}
    monkeypatch.setattr(_run, "_release", releases.__getitem__)
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace(__version__=shown))

    async def cell() -> str:
        waiting = asyncio.sleep(0, "by hand")
        with pytest.raises(ConfigurationError, match=rf"With ipykernel {shown}, .*nest-asyncio2>=1\.7\.4"):
            hercle.run(waiting)
        return await waiting

    assert asyncio.run(cell()) == "by hand"
    assert not hasattr(asyncio, "_nest_patched")


@pytest.mark.parametrize(
    ("nest2", "kernel", "used"),
    [
        ((1, 7, 4), (7, 4, 0), "nest_asyncio2"),
        ((2, 0), None, "nest_asyncio2"),
        ((), (7, 0, 1), "nest_asyncio"),
        ((), (6, 31, 0), "nest_asyncio"),
        ((1, 7, 3), None, "nest_asyncio"),
    ],
)
def test_which_is_used(
    monkeypatch: pytest.MonkeyPatch, nest2: tuple[int, ...], kernel: tuple[int, ...] | None, used: str
) -> None:
    """nest-asyncio2 from 1.7.4 on is always right; nest-asyncio is for older kernels and for none."""
    monkeypatch.setattr(_run, "_release", {"nest-asyncio2": nest2, "ipykernel": kernel}.__getitem__)
    if kernel is None:
        monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    else:
        monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace(__version__="faked"))
    with closing(asyncio.new_event_loop()) as loop:
        assert _run._nest_asyncio(loop).__name__ == used


def test_where_nest_asyncio_was_applied() -> None:
    """A loop that nest-asyncio patched is never nest-asyncio2's, and refused in a kernel that loses cells."""
    lines = run_program("""
        import asyncio, sys
        import nest_asyncio
        from types import SimpleNamespace
        import hercle_nb
        from hercle_nb import _run

        async def cell():
            nest_asyncio.apply()
            print(hercle_nb.run(asyncio.sleep(0, "blocked")), "nest_asyncio2" in sys.modules)
            _run._release = {"nest-asyncio2": (1, 7, 4), "ipykernel": (7, 4, 0)}.__getitem__
            sys.modules["ipykernel"] = SimpleNamespace(__version__="7.4.0")
            waiting = asyncio.sleep(0, "by hand")
            try:
                hercle_nb.run(waiting)
            except hercle_nb.ConfigurationError as error:
                print(error)
            print(await waiting)

        asyncio.run(cell())
    """)
    assert lines == [
        "blocked False",
        "With ipykernel 7.4.0, nest-asyncio would leave queued cells waiting for ever. Restart the kernel "
        "and leave out nest_asyncio.apply(), or write `await …` in the cell.",
        "by hand",
    ]


def test_releases() -> None:
    """A release is the numbers of an installed version, and () where there is none."""
    assert _run._release("pandas") >= (3, 0)
    assert _run._release("no-such-package-of-ours") == ()

"""Block a cell on any awaitable while the notebook's own loop keeps turning.

The one user of nest-asyncio, which patches the running loop; nothing else here needs it, and importing this
module patches nothing. nest-asyncio 1.6.0 loses queued cells on ipykernel 7.1 and later (every later cell
stays at ``[*]``, measured); nest-asyncio2 from 1.7.4 on does not.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, TypeVar

from hercle_nb.errors import ConfigurationError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable
    from types import ModuleType

T = TypeVar("T")


def run(awaitable: Awaitable[T]) -> T:
    """Wait for an awaitable from a cell or script, whether or not a loop is running.

    A hub's own verbs do not need it: `Hub` blocks by itself. It is for coroutines of your own.

    Raises:
        ConfigurationError: The nest-asyncio that is installed, or that a cell has applied, would lose queued
            cells on this ipykernel, or the running loop cannot be patched; says what to do instead.

    Example:
        >>> import asyncio
        >>> run(asyncio.sleep(0, "done"))
        'done'
    """

    async def waited() -> T:
        return await awaitable

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(waited())
    nest = _nest_asyncio(loop)
    try:
        nest.apply(loop)
    except ValueError as error:
        raise ConfigurationError(
            f"The running loop ({type(loop).__module__}) cannot be patched; write `await …` in the cell."
        ) from error
    return loop.run_until_complete(waited())


def _nest_asyncio(loop: AbstractEventLoop) -> ModuleType:
    """The nest-asyncio that is safe here."""
    method = getattr(type(loop), "run_until_complete", None)
    applied = getattr(method, "__module__", "") == "nest_asyncio"  # by a cell; nest-asyncio2 cannot undo it
    if not applied and _release("nest-asyncio2") >= (1, 7, 4):
        return importlib.import_module("nest_asyncio2")
    kernel = sys.modules.get("ipykernel")
    if kernel is not None and _release("ipykernel") >= (7, 1):
        advice = (
            "Restart the kernel and leave out nest_asyncio.apply()"
            if applied
            else "Install nest-asyncio2 (pip install 'nest-asyncio2>=1.7.4')"
        )
        raise ConfigurationError(
            f"With ipykernel {kernel.__version__}, nest-asyncio would leave queued cells waiting for ever. "
            f"{advice}, or write `await …` in the cell."
        )
    return importlib.import_module("nest_asyncio")


def _release(package: str) -> tuple[int, ...]:
    """The numbers of an installed package's version; () where it is not installed."""
    try:
        return tuple(int(part) for part in version(package).split(".")[:3] if part.isdigit())
    except PackageNotFoundError:
        return ()

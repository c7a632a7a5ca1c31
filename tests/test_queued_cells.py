"""What Run All does: every cell queued at once, on each ipykernel that treats them in its own way.

nbval and nbclient wait cell by cell, so they do not notice a kernel that loses what is queued.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.environments import ROOT, fresh_environment, packages, pythons, uninstall
from tests.kernels import MARKS, RUN, VERSIONS, answers, code_cells, kernel, run_queued, send

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_client.blocking.client import BlockingKernelClient

pytestmark = MARKS

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
RIGHT = ["6.31.0", "7.0.1"]  # with nest-asyncio alone
LOSING = ["7.2.0", "7.3.0", "7.4.0"]  # 7.2.0 is the last that does not require nest-asyncio2


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_all_cells_queued_at_once(notebook: Path, tmp_path: Path) -> None:
    """Every cell of a notebook runs when all are queued at once, on every ipykernel; none is left waiting."""
    cells = code_cells(notebook)
    with ExitStack() as stack:  # all kernels at once, since notebooks wait more than they compute
        sent = []
        for version in VERSIONS:
            folder = tmp_path / version
            before = packages(folder / "packages", f"ipykernel=={version}")
            client = stack.enter_context(kernel(folder / "home", before=before))
            sent.append((client, send(client, [f"{_is_version(version)}\n{cells[0]}", *cells[1:]])))
        for version, (client, queued) in zip(VERSIONS, sent, strict=True):
            for cell, answer in zip(queued.values(), answers(client, queued), strict=True):
                assert answer["status"] == "ok", "\n".join([version, cell, *answer.get("traceback", [])])


def _is_version(version: str) -> str:
    return f"import ipykernel; assert ipykernel.__version__ == {version!r}"


@pytest.mark.parametrize("version", VERSIONS)
def test_run_with_nest_asyncio2(version: str, tmp_path: Path) -> None:
    """With nest-asyncio2 `hercle.run` blocks its cell on every ipykernel, and those queued behind it run."""
    before = packages(tmp_path / "packages", f"ipykernel=={version}")
    with kernel(tmp_path / "home", before=before) as client:
        run_queued(client, [_is_version(version), *RUN])


@pytest.fixture(scope="module", params=pythons())
def without_nest_asyncio2(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of each Python that is here, with this checkout, a kernel and nest-asyncio alone."""
    folder = tmp_path_factory.mktemp("environment")
    checkout = ["--editable", str(ROOT), "ipykernel"]
    made = fresh_environment(folder, *checkout, python=pythons()[request.param])
    uninstall(made, "nest-asyncio2")
    return made


@pytest.mark.parametrize("version", RIGHT)
def test_run_with_nest_asyncio(version: str, without_nest_asyncio2: Path, tmp_path: Path) -> None:
    """With nest-asyncio alone `hercle.run` does the same, on every ipykernel before 7.1."""
    before = packages(tmp_path / "packages", f"ipykernel=={version}")
    with kernel(tmp_path / "home", python=without_nest_asyncio2, before=before) as client:
        run_queued(client, [_is_version(version), *RUN])


@pytest.mark.parametrize("version", LOSING)
def test_refused_with_nest_asyncio(version: str, without_nest_asyncio2: Path, tmp_path: Path) -> None:
    """With nest-asyncio alone it refuses from ipykernel 7.1 on, with what to do, and the next cells run.

    ipykernel 7.3 and later require nest-asyncio2, from 1.7.0 on: there it is missing by force, or too old.
    """
    before = packages(tmp_path / "packages", f"ipykernel=={version}")
    with kernel(tmp_path / "home", python=without_nest_asyncio2, before=before) as client:
        run_queued(client, [_is_version(version), RUN[0]])
        _refuses(client, "Install nest-asyncio2 (pip install 'nest-asyncio2>=1.7.4')")


@pytest.mark.parametrize("version", LOSING)
def test_refused_where_a_cell_has_patched(version: str, tmp_path: Path) -> None:
    """It refuses also where a cell has applied nest-asyncio, whatever else is installed; the hub works on."""
    before = packages(tmp_path / "packages", f"ipykernel=={version}")
    with kernel(tmp_path / "home", before=before) as client:
        run_queued(client, [_is_version(version), "import nest_asyncio\nnest_asyncio.apply()", RUN[0]])
        _refuses(client, "leave out nest_asyncio.apply()")


@pytest.mark.parametrize(
    ("version", "nest"),
    [*((version, "nest_asyncio") for version in LOSING), ("7.4.0", "nest_asyncio2==1.7.2")],
)
def test_why_it_refuses(version: str, nest: str, tmp_path: Path) -> None:
    """There, a nested run leaves every cell queued behind it without an answer, for ever."""
    name = nest.partition("==")[0]
    others = [] if name == nest else [nest]
    before = packages(tmp_path / "packages", f"ipykernel=={version}", *others)
    with kernel(tmp_path / "home", before=before) as client:
        run_queued(client, [_is_version(version), f"import asyncio, {name}\n{name}.apply()"])
        nested = "asyncio.get_running_loop().run_until_complete(asyncio.sleep(0.01))"
        send(client, [nested, "first = 1", "second = 2"])
        printed = ""
        while printed.count("cannot enter context") < 2:  # the end of each of the two
            printed += str(client.get_iopub_msg(timeout=60)["content"].get("text", ""))
        answered = client.get_shell_msg(timeout=60)
        while client.shell_channel.msg_ready():
            answered = client.get_shell_msg(timeout=60)
        assert answered["content"]["execution_count"] == 3  # the nested run is the last


def _refuses(client: BlockingKernelClient, advice: str) -> None:
    """`hercle.run` says what to do instead; the cells queued behind it run, and awaiting does work."""
    refused = send(
        client, ["waiting = asyncio.sleep(0, 'awaited')\nhercle.run(waiting)"], stop_on_error=False
    )
    queued = send(
        client,
        [
            "turns.append(await waiting)",
            "turns.append(hub.create_invoice(0.001, 'Coffee', 24).status)\nhub.close()",
            "assert turns == ['awaited', 'open'], turns",
        ],
    )
    (refusal,) = answers(client, refused)
    assert refusal["ename"] == "ConfigurationError"
    assert advice in refusal["evalue"]
    assert [answer["status"] for answer in answers(client, queued)] == ["ok"] * 3

"""Pin every package that Binder installs, in binder/requirements.txt: `make pins`.

They are what hercle_nb is built with, what it and its extra ``lab`` require and what these bring, for the
Python of binder/runtime.txt on Linux. Pins that still fit stay as they are unless ``--upgrade`` is given.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Let uv find versions that fit together; options are handed on to it."""
    python = (ROOT / "binder" / "runtime.txt").read_text().strip().removeprefix("python-")
    built_with = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    command = [
        *(sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--extra", "lab", "-"),
        *("--python-version", python, "--python-platform", "linux", "--no-annotate", "--quiet"),
        *("--custom-compile-command", "make pins", "--output-file", "binder/requirements.txt"),
        *sys.argv[1:],
    ]
    variables = os.environ | {"UV_PYTHON_DOWNLOADS": "never"}  # any Python can pin for another one
    done = subprocess.run(
        command, cwd=ROOT, env=variables, input="\n".join(built_with), text=True, check=False
    )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())

"""Why a server does not start, in the words of the program: real programs behind real bridges."""

from __future__ import annotations

import contextlib
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.gateway.conftest import server
from tests.servers import installed
from tests.servers.corpus import CORPUS
from tests.support.bridges import ECHO, bridge, until
from tests.support.gateways import configuration, gateway

PYTHON = (sys.executable, "-c")
ARGPARSE = "import argparse; p = argparse.ArgumentParser('srv'); p.add_argument('--db', required=True); p.parse_args()"
TYPER = "import typer\napp = typer.Typer()\n@app.command()\ndef m(db: str = typer.Option(...)): pass\napp()"
PYDANTIC = "import pydantic\nclass S(pydantic.BaseModel): api_key: str\nS()"
CHAINED = "try: {}['a']\nexcept KeyError: raise RuntimeError('no database at localhost:5432')"
ON_STDOUT = "print('Please set API_TOKEN'); print('Usage: srv TOKEN'); raise SystemExit(2)"
EMPTY_LAST_LINE = "import sys; print('licence expired', file=sys.stderr); print('', file=sys.stderr); sys.exit(3)"
LONG_USAGE = (
    "import sys; sys.exit('Error: unknown flag: --x\\nUsage:\\n' + "
    "''.join(f'  --flag{n}  invalid if missing\\n' for n in range(60)))"
)
LAST_OF_MANY = "import sys; sys.exit(''.join(f'INFO step {n}\\n' for n in range(60)) + 'fatal: cannot lock the database')"


def failing(program: Path) -> dict[str, tuple[tuple[str, ...], str]]:
    """Commands of programs that end at once, and what each must be reported with."""
    node, npm, tools = shutil.which("node") or "node", shutil.which("npm") or "npm", Path(sys.executable).parent
    return {
        "module": ((*PYTHON, "import no_such_module"), "ModuleNotFoundError: No module named 'no_such_module'"),
        "m": ((sys.executable, "-m", "no_such_module"), "No module named no_such_module"),
        "argparse": ((*PYTHON, ARGPARSE), "srv: error: the following arguments are required: --db"),
        "typer": ((*PYTHON, TYPER), "Missing option '--db'."),
        "pydantic": ((*PYTHON, PYDANTIC), "ValidationError: 1 validation error for S api_key Field required"),
        "chained": ((*PYTHON, CHAINED), "RuntimeError: no database at localhost:5432"),
        "stdout": ((*PYTHON, ON_STDOUT), "Please set API_TOKEN"),
        "empty": ((*PYTHON, EMPTY_LAST_LINE), "licence expired"),
        "usage": ((*PYTHON, LONG_USAGE), "Error: unknown flag: --x"),
        "long": ((*PYTHON, LAST_OF_MANY), "fatal: cannot lock the database"),
        "node": ((node, "/no/such/file.js"), "Error: Cannot find module '/no/such/file.js'"),
        "esm": ((node, "--input-type=module", "-e", "import 'no-such-package'"), "Cannot find package 'no-such-package'"),
        "throws": ((node, "-e", "throw new TypeError('no token')"), "TypeError: no token"),
        "npm": (
            (npm, "exec", "--offline", "--yes", "--", "no-such-package-of-ours"),
            "no-such-package-of-ours failed: cache mode",
        ),
        "uv": (
            (str(tools / "uvx"), "--offline", "no-such-package-of-ours"),
            "no-such-package-of-ours was not found in the cache",
        ),
        "flag": ((str(program), "serve", "--no-such-flag"), "flag provided but not defined: -no-such-flag"),
        "sh": (("sh", "-c", "no-such-program --x"), "no-such-program: not found"),
        "denied": (("sh", "-c", "/etc/passwd"), "/etc/passwd: Permission denied"),
        "cobra": (without_settings("k8s"), "Error: unable to create kubernetes target provider: no current-context is set"),
        "long-cobra": (without_settings("prometheus"), "Error: failed to resolve Prometheus connection"),
        "sdk": (without_settings("argocd"), "Error: ARGOCD_URL environment variable is required"),
    }


def without_settings(name: str) -> tuple[str, ...]:
    """The program of a public server that cannot start without its settings."""
    program = installed.command(next(public for public in CORPUS if public.name == name))[0]
    return ("env", "--unset=KUBECONFIG", "HOME=/nonexistent", program)


def is_said(name: str, expected: str, status: dict[str, Any]) -> bool:
    row = next(row for row in status["servers"] if row["name"] == name)
    return expected in row.get("lastError", {}).get("message", "")


@pytest.mark.timeout(900)
def test_a_failed_start_is_reported_with_its_cause_and_all_that_was_said(bridge_program: Path, tmp_path: Path) -> None:
    programs = failing(bridge_program)
    with contextlib.ExitStack() as stack:
        running = {
            name: stack.enter_context(bridge(bridge_program, tmp_path, *command)) for name, (command, _) in programs.items()
        }
        config = configuration(*(server(name, one) for name, one in running.items()), folder=tmp_path)
        ours = stack.enter_context(gateway(tmp_path, config))
        for name, (_, expected) in programs.items():
            ours.await_status(f"the cause of {name}: {expected}", partial(is_said, name, expected))
        said = httpx2.get(f"http://127.0.0.1:{ours.internal}/status/usage").json()["lastError"]["exit"]
        assert "Error: unknown flag: --x" in said["head"]
        assert said["stderr"][-2:] == ["  --flag59  invalid if missing", ""]
        assert len(said["head"]) + said["omitted"] + len(said["stderr"]) == 63
        said = httpx2.get(f"http://127.0.0.1:{ours.internal}/status/stdout").json()["lastError"]["exit"]
        assert said["stdout"] == ["Please set API_TOKEN", "Usage: srv TOKEN"]
        assert httpx2.get(f"http://127.0.0.1:{ours.internal}/status/none").status_code == 404


def test_a_line_about_an_earlier_call_of_another_client_is_not_quoted(bridge_program: Path, tmp_path: Path) -> None:
    program = f"""
import runpy, sys
sys.stderr.write("error: al" + "ice's account is locked\\n")
sys.argv = [{ECHO[1]!r}, "modern"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    with (
        bridge(bridge_program, tmp_path, sys.executable, "-c", program) as running,
        gateway(tmp_path, configuration(server("s", running), folder=tmp_path)) as ours,
    ):
        ours.await_ready()
        until("the line to be read", lambda: "alice" in running.log.read_text())
        assert ours.text("s_echo") == "{}"
        assert ours.call("s_kill")["error"]["message"].endswith("its process ended, killed by SIGKILL")
        assert "exit code 7: about to die" in ours.call("s_die")["error"]["message"]

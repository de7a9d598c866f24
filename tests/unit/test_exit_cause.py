"""Which line says what went wrong: outputs of real programs, as they wrote them (paths shortened)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgateway.protocol.errors import Exit, exited
from mcpgateway.protocol.exit_cause import cause

CORPUS = {
    "rust panic": (
        """
thread 'main' (3152) panicked at p.rs:1:46:
API_KEY must be set: NotPresent
stack backtrace:
   0: __rustc::rust_begin_unwind
             at /rustc/59807616e1fa/library/std/src/panicking.rs:689:5
   1: core::panicking::panic_fmt
             at /rustc/59807616e1fa/library/core/src/panicking.rs:80:14
   2: core::result::unwrap_failed
   3: core::result::Result<T,E>::expect
   4: p::main
   5: core::ops::function::FnOnce::call_once
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.
""",
        "API_KEY must be set: NotPresent",
    ),
    "rust main returns an error": (
        'Error: Os { code: 2, kind: NotFound, message: "No such file or directory" }',
        'Error: Os { code: 2, kind: NotFound, message: "No such file or directory" }',
    ),
    "java": (
        """Exception in thread "main" java.lang.RuntimeException: server did not start
\tat Main.main(Main.java:1)
Caused by: java.net.BindException: Address already in use
\tat Main.start(Main.java:2)
\tat Main.main(Main.java:1)
\tat java.base/jdk.internal.reflect.NativeMethodAccessorImpl.invoke0(Native Method)
\t... 8 more""",
        "Caused by: java.net.BindException: Address already in use",
    ),
    "java without its archive": ("Error: Unable to access jarfile nofile.jar", "Error: Unable to access jarfile nofile.jar"),
    "go panic": (
        """panic: assignment to entry in nil map

goroutine 1 [running]:
main.main()
\t/src/main.go:3 +0x56
exit status 2""",
        "panic: assignment to entry in nil map",
    ),
    "go log": (
        "2026/11/27 22:01:22 connecting to database: dial tcp 127.0.0.1:5432: connect: connection refused",
        "connecting to database: dial tcp 127.0.0.1:5432: connect: connection refused",
    ),
    "go flag": (
        """flag provided but not defined: -dbx
Usage of ./prog:
  -db string
    \tpath
  -token string
    \trequired unless a file is given""",
        "flag provided but not defined: -dbx",
    ),
    "cobra": (
        """Error: required flag(s) "token" not set
Usage:
  github-mcp-server stdio [flags]

Flags:
  -h, --help   help for stdio

Global Flags:
      --dynamic-toolsets           Enable dynamic toolsets
      --enable-command-logging     When enabled, the server will log all command requests and responses to the log file
      --log-file string            Path to log file

required flag(s) "token" not set""",
        'Error: required flag(s) "token" not set',
    ),
    "argparse": (
        "usage: srv [-h] --db DB\nsrv: error: the following arguments are required: --db",
        "srv: error: the following arguments are required: --db",
    ),
    "click": (
        "Usage: -c [OPTIONS]\nTry '-c --help' for help.\n\nError: Missing option '--db'.",
        "Error: Missing option '--db'.",
    ),
    "typer": (
        """Usage: -c [OPTIONS]
Try '-c --help' for help.
╭─ Error ──────────────────────────────────────────────────────────────────────╮
│ Missing option '--db'.                                                       │
╰──────────────────────────────────────────────────────────────────────────────╯""",
        "Missing option '--db'.",
    ),
    "pydantic": (
        """Traceback (most recent call last):
  File "<string>", line 4, in <module>
  File "/site-packages/pydantic/main.py", line 280, in __init__
    validated_self = self.__pydantic_validator__.validate_python(data, self_instance=self)
                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
pydantic_core._pydantic_core.ValidationError: 1 validation error for S
api_key
  Field required [type=missing, input_value={}, input_type=dict]
    For further information visit https://errors.pydantic.dev/2.14/v/missing""",
        "ValidationError: 1 validation error for S api_key Field required [type=missing",
    ),
    "python, one exception after another": (
        """Traceback (most recent call last):
  File "s.py", line 3, in connect
    raise ConnectionRefusedError("error: 5432 refused")
ConnectionRefusedError: error: 5432 refused

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "s.py", line 9, in <module>
    main()
RuntimeError: no database at localhost:5432
""",
        "RuntimeError: no database at localhost:5432",
    ),
    "node": (
        """node:internal/modules/cjs/loader:1210
  throw err;
  ^

Error: Cannot find module '/no/file.js'
    at Module._resolveFilename (node:internal/modules/cjs/loader:1207:15)
    at node:internal/main/run_main_module:28:49 {
  code: 'MODULE_NOT_FOUND',
  requireStack: []
}

Node.js v20.20.2
""",
        "Error: Cannot find module '/no/file.js'",
    ),
    "node, its own words": (
        """Please provide at least one allowed directory
Usage: mcp-server-filesystem <allowed-directory> [additional-directories...]
Note: Allowed directories can be provided via command-line arguments""",
        "Please provide at least one allowed directory",
    ),
    "npm": (
        """npm warn exec The following package was not found and will be installed
npm error code E404
npm error 404 Not Found - GET https://registry.example.com/no-such-package - Not found
npm error 404
npm error 404  'no-such-package@*' is not in this registry.
npm error A complete log of this run can be found in: /home/node/.npm/_logs/debug-0.log""",
        "npm error 404 Not Found - GET https://registry.example.com/no-such-package - Not found",
    ),
    "uv": (
        """  × No solution found when resolving tool dependencies:
  ╰─▶ Because no-such-package was not found in the cache and you require no-such-package, we can conclude that your
      requirements are unsatisfiable.

hint: Packages were unavailable because the network was disabled.""",
        "Because no-such-package was not found in the cache",
    ),
    "uv cannot start": (
        "error: Failed to spawn: `x`\n  Caused by: No such file or directory (os error 2)",
        "error: Failed to spawn: `x`: No such file or directory (os error 2)",
    ),
    "sh": ("sh: 1: no-such-program: not found", "sh: 1: no-such-program: not found"),
    "bash": ("bash: line 1: /etc/passwd: Permission denied", "bash: line 1: /etc/passwd: Permission denied"),
    "perl": (
        "Can't locate No/Such.pm in @INC (you may need to install the No::Such module) at -e line 1.\n"
        "BEGIN failed--compilation aborted at -e line 1.",
        "Can't locate No/Such.pm in @INC",
    ),
    "json log": (
        '{"level":"info","msg":"starting"}\n{"level":"fatal","msg":"GITHUB_TOKEN not set"}\n{"level":"info","msg":"bye"}',
        "GITHUB_TOKEN not set",
    ),
    "colours": (
        "\\x1b[31mERROR\\x1b[0m cannot open /data\n\\x1b[2mexiting\\x1b[0m",
        "ERROR cannot open /data",
    ),
    "an empty last line": ("licence expired yesterday\n\n\n", "licence expired yesterday"),
    "nothing that looks like an error": ("hello\nworld\n", "world"),
}


@pytest.mark.parametrize("name", list(CORPUS))
def test_the_cause_of_a_real_programs_failure_is_found(name: str) -> None:
    written, expected = CORPUS[name]
    assert expected in cause(written.split("\n"))
    assert expected in exited("s", Exit(code=1, stderr=tuple(written.split("\n")))).message


def test_stdout_counts_if_stderr_says_nothing() -> None:
    assert cause([], ["Server listening on http://localhost:3000"]) == "Server listening on http://localhost:3000"
    assert cause(["", "}"], ["error: no token"]) == "error: no token"


def test_what_a_process_wrote_before_its_last_answer_is_not_said_to_another_client() -> None:
    lines = ("error: alice sent nonsense", "Traceback (most recent call last):", "KeyError: 'x'")
    assert exited("s", Exit(code=1, stderr=lines, recent=2), answered=True).message.endswith("KeyError: 'x'")
    assert exited("s", Exit(code=1, stderr=lines[:1], recent=0), answered=True).message == "its process ended, exit code 1"


@given(st.lists(st.text()), st.lists(st.text()))
def test_any_lines_have_a_cause_that_is_one_of_them(stderr: list[str], stdout: list[str]) -> None:
    found = cause(stderr, stdout)
    assert bool(found) <= any(line.strip() for line in stderr + stdout)

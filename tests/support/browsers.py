"""A real browser without a screen, and a web page that reports what its script has seen."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from . import tools
from .processes import end
from .waiting import PATIENCE

PROGRAM = "/usr/bin/chromium-headless-shell"


@dataclass
class Pages:
    """Serves one page on loopback, under any name, and takes its report."""

    page: str
    port: int = 0
    reports: queue.Queue[Any] = field(default_factory=queue.Queue)

    def origin(self, name: str) -> str:
        return f"http://{name}:{self.port}"


@contextlib.contextmanager
def pages(script: str) -> Iterator[Pages]:
    """A page whose script is the body of an async function; what it returns, or throws, is reported."""
    text = (
        "<!doctype html><script type=module>const seen = async () => {\n" + script + "\n};"
        "const report = (body) => fetch('/report', { method: 'POST', body: JSON.stringify(body) });"
        "seen().then(report, (error) => report({ thrown: `${error}` }));</script>"
    )
    served = Pages(text)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(served.page.encode(), "text/html; charset=utf-8")

        def do_POST(self) -> None:
            served.reports.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer(b"", "text/plain")

        def _answer(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, name="pages")
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join(30)
        server.server_close()


def report(served: Pages, name: str, folder: Path) -> Any:
    """What the page has seen in a browser that finds it at this host name."""
    tools.require("gateway", {PROGRAM: "chromium-headless-shell"})
    command = [
        PROGRAM,
        "--no-sandbox",  # the tests may run as root
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        f"--user-data-dir={folder / 'browser'}",
        f"--host-resolver-rules=MAP {name} 127.0.0.1",
        "--remote-debugging-port=0",  # without it the program ends at once
        f"{served.origin(name)}/",
    ]
    with (folder / "browser.log").open("wb") as log:
        browser = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        return served.reports.get(timeout=PATIENCE)
    except queue.Empty:
        raise AssertionError(f"the page has reported nothing: {(folder / 'browser.log').read_text()[-2000:]}") from None
    finally:
        end(browser)

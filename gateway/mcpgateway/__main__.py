"""`python -m mcpgateway`: the gateway's process."""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path

import uvloop

from .config import ConfigError
from .edge.limits import DEFAULT_LIMITS, Limits
from .gateway import Settings, start
from .protocol.visible_text import visible
from .runtime.logs import set_up_logging

_GARBAGE = 20_000  # objects: requests leave no circles behind, so that the collector would find nothing, only sooner


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r}: want HOST:PORT")
    return host or "0.0.0.0", int(port)  # noqa: S104 - requested by leaving the host out


def parse(argv: list[str]) -> tuple[Settings, bool]:
    """Settings from the command line, and whether to log as JSON."""
    parser = argparse.ArgumentParser(prog="mcpgateway", description="One MCP endpoint in front of many MCP servers.")
    parser.add_argument("--config", type=Path, required=True, help="the hot configuration file (JSON)")
    parser.add_argument("--binding", type=Path, help="the configuration that belongs to this pod template (JSON)")
    parser.add_argument("--keys", type=Path, help="folder with one session signing key a file")
    parser.add_argument("--bridge-keys", type=Path, help="folder with the private key that proves this gateway to its bridges")
    parser.add_argument("--listen", type=_address, default=("127.0.0.1", 8811), help="clients' HOST:PORT")
    parser.add_argument("--internal", type=_address, default=("127.0.0.1", 8812), help="HOST:PORT of probes, status, metrics")
    parser.add_argument("--drain-delay", type=float, default=0.0, help="seconds between unready and closing")
    parser.add_argument(
        "--max-connections", type=int, default=DEFAULT_LIMITS.connections, help="client connections; further ones get 503"
    )
    parser.add_argument(
        "--max-connections-per-address",
        type=int,
        default=DEFAULT_LIMITS.connections_per_address,
        help="client connections from one peer address, which may be a proxy (0: no limit)",
    )
    parser.add_argument("--log", choices=["json", "text"], default="json")
    args = parser.parse_args(argv)
    settings = Settings(
        config=args.config,
        binding=args.binding,
        keys=args.keys,
        bridge_keys=args.bridge_keys,
        listen=args.listen,
        internal=args.internal,
        drain_delay=args.drain_delay,
        limits=Limits(connections=args.max_connections, connections_per_address=args.max_connections_per_address),
    )
    return settings, args.log == "json"


async def _run(settings: Settings) -> None:
    await (await start(settings)).run()


def main(argv: list[str] | None = None) -> int:
    """Run until a signal. Exit code 1: no good configuration to begin with."""
    settings, json = parse(sys.argv[1:] if argv is None else argv)
    set_up_logging(json=json, visible=visible)
    gc.freeze()
    gc.set_threshold(_GARBAGE, 20, 50)
    try:
        uvloop.run(_run(settings))
    except ConfigError as error:
        sys.stderr.write(f"mcpgateway: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

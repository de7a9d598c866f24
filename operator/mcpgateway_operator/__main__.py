"""`python -m mcpgateway_operator`: the command line, logging, and the restart loop."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import os
import ssl
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, get_args

import structlog

from .api.annotations import FurtherAnnotations
from .api.workload import RunAs
from .kube.restart import RestartRequired
from .logs import set_up_logging
from .observe.kinds import OPTIONS
from .process import Options, give_up, run
from .reconcile.reconciler import Settings
from .render.context import RUNNER, Platform
from .render.naming import MANAGER
from .render.network_policies import dns_peer

log = structlog.get_logger()

_ANNOTATED: Final = ("ingress", "service", "pods")


def parse(argv: list[str]) -> Options:
    """The command line. Ends the process with a usage message if it is wrong."""
    parser = argparse.ArgumentParser(prog="mcpgateway-operator", description="Reconciles MCPGateway resources.")
    parser.add_argument(
        "--gateway-image",
        default=os.environ.get("GATEWAY_IMAGE"),
        help="image of the gateway and the bridge where spec.image is absent (default: $GATEWAY_IMAGE)",
    )
    parser.add_argument(
        "--runner-image",
        default=os.environ.get("RUNNER_IMAGE", RUNNER),
        help="image for packages where spec.packages.runnerImage is absent (default: $RUNNER_IMAGE, else %(default)s)",
    )
    parser.add_argument("--namespace", action="append", default=[], help="watch only this namespace; may be repeated")
    parser.add_argument(
        "--own-namespace",
        default=os.environ.get("POD_NAMESPACE", ""),
        help="namespace of the operator's pod and its Lease (default: $POD_NAMESPACE; empty: not in a cluster, no Lease)",
    )
    parser.add_argument(
        "--name",
        default=os.environ.get("OPERATOR_NAME") or MANAGER,
        help="name of the release and of its Lease; with the namespace it is the operator's identity, which MCPGateways that it "
        "manages have in status.operator (default: $OPERATOR_NAME, else %(default)s)",
    )
    parser.add_argument(
        "--takeover-after",
        default=300,
        type=_positive,
        help="seconds without a sign of life of another operator until its MCPGateways are taken over (default: %(default)s)",
    )
    parser.add_argument(
        "--api", action="append", default=[], choices=OPTIONS, help="optional API that the operator may use; may be repeated"
    )
    parser.add_argument(
        "--cluster-cidr",
        action="append",
        default=[],
        type=_cidr,
        help="address range of pods and Services outside of the private ranges: blocked for servers unless egress allows it; "
        "may be repeated",
    )
    parser.add_argument(
        "--dns",
        action="append",
        default=[],
        type=_dns_peer,
        help="pods or addresses that answer DNS requests, the only ones that servers may ask: NAMESPACE/LABEL=VALUE or an "
        f"address range; may be repeated (default: {', '.join(Platform().dns)})",
    )
    parser.add_argument(
        "--dns-port",
        action="append",
        default=[],
        type=_port,
        help="port on which these pods and addresses answer; may be repeated (default: 53)",
    )
    parser.add_argument(
        "--run-as",
        default="Fixed",
        choices=get_args(RunAs),
        help="user, group and file system group of pods where spec.runAs is absent. Fixed: 65532; Assigned: the platform "
        "assigns them (default: Fixed)",
    )
    parser.add_argument(
        "--allow-annotation",
        action="append",
        default=[],
        type=_annotation,
        metavar="KIND:PATTERN",
        help="further annotation that a resource may give to its ingress, service or pods, for example ingress:example.com/*: a "
        "key, or the beginning of keys and *; may be repeated",
    )
    parser.add_argument(
        "--max-concurrent-rollouts",
        default=5,
        type=_positive,
        help="gateways that are rolled out at once after an operator upgrade that renders them differently from the previous "
        "version (default: 5)",
    )
    parser.add_argument(
        "--request-timeout",
        default=30,
        type=_positive,
        help="seconds after which an unanswered request to the API server is given up; a watch without an event is renewed "
        "after twice that and 10 seconds more (default: %(default)s)",
    )
    parser.add_argument(
        "--standby",
        action="store_true",
        help="whether other replicas run: one that waits for the Lease of another is ready, because it can take over",
    )
    parser.add_argument(
        "--ca-file",
        type=_authorities,
        help="PEM file with authorities to trust besides the cluster's own, for a proxy (HTTPS_PROXY) that re-encrypts",
    )
    parser.add_argument(
        "--probes",
        default="http://0.0.0.0:8080/healthz",
        help="URL to listen on for /healthz, /readyz and /metrics (default: %(default)s)",
    )
    parser.add_argument(
        "--give-up",
        action="store_true",
        help="do not run, but stop the running operator of this release, set Ready to Unknown for the MCPGateways that it "
        "manages, and leave them to other operators: what the chart does before it is uninstalled",
    )
    args = parser.parse_args(argv)
    if not args.gateway_image:
        parser.error("--gateway-image is missing, and GATEWAY_IMAGE is not set")
    settings = Settings(
        image=args.gateway_image,
        runner=args.runner_image,
        operator="/".join(part for part in (args.own_namespace, args.name) if part),
        options=frozenset(args.api),
        namespace=args.own_namespace,
        platform=_platform(args),
        annotations=_further(args.allow_annotation),
    )
    return Options(
        settings,
        name=args.name,
        takeover_after=args.takeover_after,
        namespaces=tuple(args.namespace),
        max_concurrent_rollouts=args.max_concurrent_rollouts,
        probes=args.probes,
        request_timeout=args.request_timeout,
        standby=args.standby,
        authorities=args.ca_file or "",
        gives_up=args.give_up,
    )


def _platform(args: argparse.Namespace) -> Platform:
    usual = Platform()
    return Platform(
        cidrs=tuple(args.cluster_cidr),
        dns=tuple(args.dns) or usual.dns,
        dns_ports=tuple(args.dns_port) or usual.dns_ports,
        run_as=args.run_as,
    )


def _further(allowed: Iterable[tuple[str, str]]) -> FurtherAnnotations:
    patterns = {kind: tuple(pattern for of, pattern in allowed if of == kind) for kind in _ANNOTATED}
    return FurtherAnnotations(**patterns)


def _annotation(text: str) -> tuple[str, str]:
    kind, _, pattern = text.partition(":")
    if kind not in _ANNOTATED or not pattern:
        kinds = ", ".join(_ANNOTATED)
        raise argparse.ArgumentTypeError(f"{text!r} is not KIND:PATTERN, for example pods:example.com/*; kinds: {kinds}")
    return kind, pattern


def _cidr(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address range, for example 203.0.113.0/24") from None


def _dns_peer(text: str) -> str:
    try:
        dns_peer(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to 65535")
    return int(text)


def _authorities(file: str) -> str:
    try:
        text = Path(file).read_text()
        ssl.create_default_context(cadata=text)
    except (OSError, ValueError, ssl.SSLError) as error:
        raise argparse.ArgumentTypeError(f"{file!r} has no certificates in PEM: {error}") from None
    return text


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def main(argv: list[str] | None = None) -> int:
    """Run until a signal. Returns: the exit code."""
    options = parse(sys.argv[1:] if argv is None else argv)
    set_up_logging()
    while True:
        try:
            asyncio.run(give_up(options) if options.gives_up else run(options))
        except RestartRequired as change:  # with a new loop, so that no task of kopf or of ours is left
            log.warning("restarting", reason=str(change))
            continue
        except Exception as error:  # the kubelet restarts the container
            log.error("operator ends", error=f"{type(error).__name__}: {error}")
            return 1
        return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""From what the user says to the target.

A run of `mcpgw up` is meant if one of that name runs and no flag speaks of a cluster; otherwise the cluster.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from ..bad_input import BadInputError
from ..output.text import suggestion
from . import runs
from .model import Choice, Target


@contextlib.asynccontextmanager
async def chosen(choice: Choice) -> AsyncIterator[Target]:
    """The target, for as long as it is used. Raises: BadInputError, NotReachedError."""
    if choice.local and choice.of_cluster:
        raise BadInputError("--local is about this machine: leave out --namespace, --context and --kubeconfig")
    run = None if choice.of_cluster else _run(choice)
    if run is not None:
        from .local_target import LocalTarget

        yield LocalTarget(run)
        return
    from ..cluster.api import connect
    from .cluster_target import cluster_target

    async with connect(choice.kubeconfig, choice.context) as api:
        yield await cluster_target(api, namespace=choice.namespace or api.access.namespace, name=choice.gateway)


def _run(choice: Choice) -> runs.Run | None:
    """The local run that is meant; None for a cluster."""
    running = runs.running()
    meant = [run for run in running if choice.gateway in (None, run.gateway)]
    if len(meant) > 1:
        words = ", ".join(f"{run.gateway} at {run.url}" for run in meant)
        raise BadInputError(f"several local gateways run ({words}): name one with --gateway, or stop the others")
    if not meant and choice.local:
        if choice.gateway is None:
            raise BadInputError("no local gateway runs: start one with `mcpgw up FILE`")
        raise BadInputError(
            f"no local gateway {choice.gateway!r} runs: {suggestion(choice.gateway, [r.gateway for r in running])}"
        )
    return meant[0] if meant else None

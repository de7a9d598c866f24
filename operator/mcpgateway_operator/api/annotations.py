"""Which annotations a resource may give to its Ingress, its Service and its pods. Pure.

Controllers and admission webhooks act on annotations with rights that the resource's author may not have: they inject
configuration, redirect or mirror requests, write DNS records, attach networks, volumes and secrets. So the lists say what is
allowed, and the platform team extends them. A pattern is a key, or the beginning of keys and `*`. Manual: docs/platforms.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from .field_error import FieldError, Path
from .spec import Spec

INGRESS: Final = (
    # ingress classes, certificates
    "kubernetes.io/ingress.class",
    "kubernetes.io/tls-acme",
    "cert-manager.io/cluster-issuer",
    "cert-manager.io/issuer",
    "cert-manager.io/issuer-group",
    "cert-manager.io/issuer-kind",
    "cert-manager.io/duration",
    "cert-manager.io/renew-before",
    "cert-manager.io/private-key-*",
    "cert-manager.io/revision-history-limit",
    "acme.cert-manager.io/http01-edit-in-place",
    "acme.cert-manager.io/http01-ingress-class",
    # ingress-nginx: timeouts, sizes, buffers, TLS, client addresses, rates, affinity
    "nginx.ingress.kubernetes.io/proxy-body-size",
    "nginx.ingress.kubernetes.io/proxy-buffer-size",
    "nginx.ingress.kubernetes.io/proxy-buffering",
    "nginx.ingress.kubernetes.io/proxy-buffers-number",
    "nginx.ingress.kubernetes.io/proxy-busy-buffers-size",
    "nginx.ingress.kubernetes.io/proxy-connect-timeout",
    "nginx.ingress.kubernetes.io/proxy-http-version",
    "nginx.ingress.kubernetes.io/proxy-max-temp-file-size",
    "nginx.ingress.kubernetes.io/proxy-next-upstream*",
    "nginx.ingress.kubernetes.io/proxy-read-timeout",
    "nginx.ingress.kubernetes.io/proxy-request-buffering",
    "nginx.ingress.kubernetes.io/proxy-send-timeout",
    "nginx.ingress.kubernetes.io/client-body-buffer-size",
    "nginx.ingress.kubernetes.io/ssl-redirect",
    "nginx.ingress.kubernetes.io/force-ssl-redirect",
    "nginx.ingress.kubernetes.io/allowlist-source-range",
    "nginx.ingress.kubernetes.io/denylist-source-range",
    "nginx.ingress.kubernetes.io/whitelist-source-range",
    "nginx.ingress.kubernetes.io/limit-burst-multiplier",
    "nginx.ingress.kubernetes.io/limit-connections",
    "nginx.ingress.kubernetes.io/limit-rate",
    "nginx.ingress.kubernetes.io/limit-rate-after",
    "nginx.ingress.kubernetes.io/limit-rpm",
    "nginx.ingress.kubernetes.io/limit-rps",
    "nginx.ingress.kubernetes.io/affinity",
    "nginx.ingress.kubernetes.io/affinity-mode",
    "nginx.ingress.kubernetes.io/session-cookie-*",
    "nginx.ingress.kubernetes.io/upstream-hash-by",
    "nginx.ingress.kubernetes.io/load-balance",
    "nginx.ingress.kubernetes.io/service-upstream",
    # NGINX Ingress Controller
    "nginx.org/client-max-body-size",
    "nginx.org/proxy-buffer-size",
    "nginx.org/proxy-buffering",
    "nginx.org/proxy-buffers",
    "nginx.org/proxy-connect-timeout",
    "nginx.org/proxy-read-timeout",
    "nginx.org/proxy-send-timeout",
    "nginx.org/redirect-to-https",
    # Traefik
    "traefik.ingress.kubernetes.io/router.entrypoints",
    "traefik.ingress.kubernetes.io/router.tls",
    "traefik.ingress.kubernetes.io/router.tls.certresolver",
    # Contour
    "projectcontour.io/response-timeout",
    "projectcontour.io/tls-minimum-protocol-version",
    "ingress.kubernetes.io/force-ssl-redirect",
    # HAProxy
    "haproxy.org/allow-list",
    "haproxy.org/deny-list",
    "haproxy.org/load-balance",
    "haproxy.org/rate-limit-*",
    "haproxy.org/ssl-redirect*",
    "haproxy.org/timeout-*",
    "haproxy-ingress.github.io/affinity",
    "haproxy-ingress.github.io/allowlist-source-range",
    "haproxy-ingress.github.io/balance-algorithm",
    "haproxy-ingress.github.io/proxy-body-size",
    "haproxy-ingress.github.io/session-cookie-*",
    "haproxy-ingress.github.io/ssl-redirect",
    "haproxy-ingress.github.io/timeout-*",
    # OpenShift
    "route.openshift.io/termination",
    "haproxy.router.openshift.io/balance",
    "haproxy.router.openshift.io/disable_cookies",
    "haproxy.router.openshift.io/ip_allowlist",
    "haproxy.router.openshift.io/ip_whitelist",
    "haproxy.router.openshift.io/rate-limit-connections*",
    "haproxy.router.openshift.io/timeout*",
    # AWS, Azure, Google
    "alb.ingress.kubernetes.io/backend-protocol-version",
    "alb.ingress.kubernetes.io/certificate-arn",
    "alb.ingress.kubernetes.io/healthcheck-*",
    "alb.ingress.kubernetes.io/healthy-threshold-count",
    "alb.ingress.kubernetes.io/inbound-cidrs",
    "alb.ingress.kubernetes.io/ip-address-type",
    "alb.ingress.kubernetes.io/listen-ports",
    "alb.ingress.kubernetes.io/load-balancer-attributes",
    "alb.ingress.kubernetes.io/scheme",
    "alb.ingress.kubernetes.io/ssl-policy",
    "alb.ingress.kubernetes.io/ssl-redirect",
    "alb.ingress.kubernetes.io/success-codes",
    "alb.ingress.kubernetes.io/target-group-attributes",
    "alb.ingress.kubernetes.io/target-type",
    "alb.ingress.kubernetes.io/unhealthy-threshold-count",
    "appgw.ingress.kubernetes.io/connection-draining*",
    "appgw.ingress.kubernetes.io/cookie-based-affinity",
    "appgw.ingress.kubernetes.io/health-probe-*",
    "appgw.ingress.kubernetes.io/request-timeout",
    "appgw.ingress.kubernetes.io/ssl-redirect",
    "kubernetes.io/ingress.allow-http",
    "kubernetes.io/ingress.global-static-ip-name",
    "kubernetes.io/ingress.regional-static-ip-name",
    "networking.gke.io/managed-certificates",
    # Kong
    "konghq.com/https-redirect-status-code",
    "konghq.com/protocols",
    "konghq.com/request-buffering",
    "konghq.com/response-buffering",
)
SERVICE: Final = (
    # load balancers of clouds
    "service.beta.kubernetes.io/*",
    "cloud.google.com/backend-config",
    "cloud.google.com/l4-rbs",
    "cloud.google.com/load-balancer-type",
    "cloud.google.com/neg",
    "networking.gke.io/internal-load-balancer-*",
    "networking.gke.io/load-balancer-*",
    "load-balancer.hetzner.cloud/*",
    "loadbalancer.openstack.org/*",
    "oci.oraclecloud.com/*",
    # load balancers in the cluster
    "metallb.io/*",
    "metallb.universe.tf/*",
    "kube-vip.io/*",
    "lbipam.cilium.io/*",
    # monitoring
    "prometheus.io/*",
)
PODS: Final = (
    # monitoring and logs
    "prometheus.io/*",
    "fluentbit.io/exclude",
    "fluentbit.io/parser*",
    "kubectl.kubernetes.io/default-container",
    "kubectl.kubernetes.io/default-logs-container",
    # eviction and backup
    "cluster-autoscaler.kubernetes.io/*",
    "karpenter.sh/do-not-disrupt",
    "descheduler.alpha.kubernetes.io/evict",
    "backup.velero.io/backup-volumes",
    "backup.velero.io/backup-volumes-excludes",
    # whether a service mesh takes the pod in
    "sidecar.istio.io/inject",
    "linkerd.io/inject",
)


@dataclass(frozen=True, slots=True)
class FurtherAnnotations:
    """Patterns that the platform team allows besides those above."""

    ingress: tuple[str, ...] = ()
    service: tuple[str, ...] = ()
    pods: tuple[str, ...] = ()


def annotation_errors(spec: Spec, further: FurtherAnnotations) -> Iterator[FieldError]:
    """The annotations of a spec that are on no list."""
    ingress = spec.ingress.annotations if spec.ingress else {}
    yield from _refused(ingress, INGRESS + further.ingress, ("ingress", "annotations"), "ingress")
    yield from _refused(spec.service.annotations, SERVICE + further.service, ("service", "annotations"), "service")
    yield from _refused(spec.pod_annotations, PODS + further.pods, ("podAnnotations",), "pods")


def _refused(given: Iterable[str], allowed: Sequence[str], path: Path, value: str) -> Iterator[FieldError]:
    for key in sorted(given):
        if not any(_matches(key, pattern) for pattern in allowed):
            yield FieldError(
                ("spec", *path),
                f" has {key!r}, which is not among the allowed annotations (docs/platforms.md): remove it, or have the platform "
                f"team allow it in the operator's chart: allowedAnnotations: {{{value}: [{key!r}]}}",
            )


def _matches(key: str, pattern: str) -> bool:
    return key.startswith(pattern[:-1]) if pattern.endswith("*") else key == pattern

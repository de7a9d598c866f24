"""Level `api`: a real etcd, kube-apiserver and controller-manager as processes on loopback, ready in seconds."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from . import tools
from .certificates import self_signed
from .kubectl import Kubectl
from .locks import free_port
from .processes import Processes, wait_for

SERVICES = "198.19.0.0/16"  # the benchmarking range (RFC 2544): never a real host, never leaves this machine

_FRONT = "front-proxy-client"
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")


@dataclass(frozen=True)
class Addresses:
    """Where the two servers listen."""

    etcd: int
    api: int
    bind: str = "127.0.0.1"
    advertise: str = "198.18.0.1"  # the API server refuses a loopback address here

    @classmethod
    def free(cls) -> Addresses:
        """Ports that are not in use."""
        return cls(etcd=free_port(), api=free_port())


class ControlPlane:
    """etcd, kube-apiserver, kube-controller-manager in one folder."""

    def __init__(self, folder: Path, addresses: Addresses | None = None) -> None:
        self.folder = folder
        self.addresses = addresses or Addresses.free()
        self.processes = Processes(folder)
        self.programs = {name: str(tools.component(name)) for name in PROGRAMS}
        self.kubeconfig = folder / "kubeconfig"
        self.kubectl = Kubectl(self.programs["kubectl"], self.kubeconfig)

    def start(self) -> None:
        """Start and wait until the API server is ready."""
        pki = self.folder / "pki"
        pki.mkdir(parents=True, exist_ok=True)
        _make_service_account_keys(pki)
        _make_front_proxy(pki)
        token = secrets.token_hex(16)
        (pki / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n')
        self._start_etcd()
        self._start_apiserver(pki)
        self._write_kubeconfig(token)
        wait_for("kube-apiserver to be ready", self.ready, self.processes, alive=("etcd", "apiserver"))
        self._start_controller_manager(pki)

    def ready(self) -> bool:
        """Whether the API server answers."""
        if not self.kubeconfig.exists():
            return False
        try:
            return self.kubectl("get", "--raw", "/readyz", check=False, timeout=5) == "ok"
        except subprocess.TimeoutExpired:
            return False

    def stop(self) -> None:
        """Stop everything and remove the folder."""
        self._end()  # nothing is worth saving
        shutil.rmtree(self.folder, ignore_errors=True)

    def snapshot(self) -> Path:
        """What etcd has now; everything is down for that moment."""
        self._end()
        saved = self.folder / f"etcd-{secrets.token_hex(4)}"
        shutil.copytree(self.folder / "etcd", saved)
        self.start()
        return saved

    def restore(self, saved: Path) -> None:
        """Go back to a snapshot, as after a disaster: versions count on from there, a second time."""
        self._end()
        shutil.rmtree(self.folder / "etcd")
        shutil.copytree(saved, self.folder / "etcd")
        self.start()

    def _end(self) -> None:
        for name in ("controller-manager", "apiserver", "etcd"):
            self.processes.stop(name, patience=1.0)

    def _start_etcd(self) -> None:
        client = f"http://127.0.0.1:{self.addresses.etcd}"
        self.processes.start(
            "etcd",
            [
                self.programs["etcd"],
                f"--data-dir={self.folder}/etcd",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                "--listen-peer-urls=http://127.0.0.1:0",
                "--unsafe-no-fsync",
            ],
        )

    def _start_apiserver(self, pki: Path) -> None:
        where = self.addresses
        self.processes.start(
            "apiserver",
            [
                self.programs["kube-apiserver"],
                f"--etcd-servers=http://127.0.0.1:{where.etcd}",
                f"--cert-dir={pki}",
                f"--secure-port={where.api}",
                f"--bind-address={where.bind}",
                f"--advertise-address={where.advertise}",
                f"--service-account-key-file={pki}/sa.pub",
                f"--service-account-signing-key-file={pki}/sa.key",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--token-auth-file={pki}/tokens.csv",
                "--authorization-mode=RBAC",
                f"--service-cluster-ip-range={SERVICES}",
                "--allow-privileged=true",
                "--kubelet-preferred-address-types=InternalIP",
                # by which extension API servers (metrics-server) know that it is the API server who asks
                f"--requestheader-client-ca-file={pki}/front.crt",
                f"--requestheader-allowed-names={_FRONT}",
                "--requestheader-username-headers=X-Remote-User",
                "--requestheader-group-headers=X-Remote-Group",
                "--requestheader-extra-headers-prefix=X-Remote-Extra-",
                f"--proxy-client-cert-file={pki}/front.crt",
                f"--proxy-client-key-file={pki}/front.key",
                "--enable-aggregator-routing",
            ],
        )

    def _start_controller_manager(self, pki: Path) -> None:
        self.processes.start(
            "controller-manager",
            [
                self.programs["kube-controller-manager"],
                f"--kubeconfig={self.kubeconfig}",
                "--leader-elect=false",
                f"--service-account-private-key-file={pki}/sa.key",
                f"--root-ca-file={pki}/apiserver.crt",
                "--use-service-account-credentials=true",
                "--secure-port=0",
                "--controllers=*,-bootstrap-signer-controller",
                # an autoscaler decides every 15 s by default, and distrusts the use of a new pod's CPU for five minutes
                "--horizontal-pod-autoscaler-sync-period=3s",
                "--horizontal-pod-autoscaler-initial-readiness-delay=5s",
                "--horizontal-pod-autoscaler-cpu-initialization-period=15s",
            ],
        )

    def _write_kubeconfig(self, token: str) -> None:
        server = f"https://127.0.0.1:{self.addresses.api}"
        self.kubeconfig.write_text(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n"
            f'clusters: [{{name: test, cluster: {{server: "{server}", insecure-skip-tls-verify: true}}}}]\n'
            f"users: [{{name: admin, user: {{token: {token}}}}}]\n"
            "contexts: [{name: test, context: {cluster: test, user: admin}}]\n"
        )
        self.kubeconfig.chmod(0o600)


def _make_front_proxy(pki: Path) -> None:
    """A certificate that is its own authority."""
    if (pki / "front.crt").exists():
        return
    certificate, key = self_signed(_FRONT, ExtendedKeyUsageOID.CLIENT_AUTH)
    (pki / "front.key").write_bytes(key)
    (pki / "front.crt").write_bytes(certificate)


def _make_service_account_keys(pki: Path) -> None:
    if (pki / "sa.key").exists():  # tokens outlive a restart
        return
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (pki / "sa.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    (pki / "sa.pub").write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )

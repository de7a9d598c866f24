"""OCI image archives made from folders, without a registry or an engine.

Source: OCI Image Format Specification v1.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

_TYPE = "application/vnd.oci.image"


def archive(reference: str, root: Path, target: Path, config: dict[str, Any]) -> None:
    """One layer from a folder as an image archive."""
    layer = target.with_suffix(".layer")
    subprocess.run(["tar", "-C", str(root), "--numeric-owner", "--sort=name", "-cf", str(layer), "."], check=True)
    try:
        _write(reference, layer, target, config)
    finally:
        layer.unlink()


def _write(reference: str, layer: Path, target: Path, config: dict[str, Any]) -> None:
    with layer.open("rb") as file:
        layer_digest = hashlib.file_digest(file, "sha256").hexdigest()
    image = {
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
        "history": [{"created_by": "tests/support/oci.py"}],  # buildah counts its entries
    }
    blobs: dict[str, bytes] = {}
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_TYPE}.manifest.v1+json",
        "config": {"mediaType": f"{_TYPE}.config.v1+json", **_blob(image, blobs)},
        "layers": [
            {
                "mediaType": f"{_TYPE}.layer.v1.tar",
                "digest": f"sha256:{layer_digest}",
                "size": layer.stat().st_size,
            }
        ],
    }
    names = {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference}
    entry = {"mediaType": f"{_TYPE}.manifest.v1+json", **_blob(manifest, blobs), "annotations": names}
    with tarfile.open(target, "w") as out:
        _add(out, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(out, "index.json", json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode())
        for name, content in blobs.items():
            _add(out, name, content)
        out.add(layer, f"blobs/sha256/{layer_digest}")


def _blob(document: dict[str, Any], blobs: dict[str, bytes]) -> dict[str, Any]:
    content = json.dumps(document).encode()
    digest = hashlib.sha256(content).hexdigest()
    blobs[f"blobs/sha256/{digest}"] = content
    return {"digest": f"sha256:{digest}", "size": len(content)}


def _add(out: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    out.addfile(info, io.BytesIO(content))

"""What `.github/workflows/release.yaml` does, in steps that also run by hand.

python -m tests.support.release versions TAG              the tag, packages, chart and samples agree
python -m tests.support.release images REGISTRY           build, push and sign; prints NAME=DIGEST lines
python -m tests.support.release chart REGISTRY            package, push and sign; the same
python -m tests.support.release files REGISTRY DIGESTS    install.yaml and the notes, from those lines
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

from . import images, manifests, pins
from .paths import BUILD, ROOT

RELEASE = BUILD / "release"
_CHART = ROOT / "charts" / "mcpgateway-operator"


def versions() -> dict[str, str]:
    """Every place that says the version, and what it says."""
    chart = yaml.safe_load((_CHART / "Chart.yaml").read_text())
    readme = re.search(r"--version (\S+)", (_CHART / "README.md.in").read_text())
    samples = re.findall(r"ghcr\.io/mcpgateway/[a-z-]+:(\S+)", (ROOT / "examples" / "quickstart.yaml").read_text())
    return {
        "pyproject.toml": tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"],
        "Chart.yaml version": chart["version"],
        "Chart.yaml appVersion": chart["appVersion"],
        "tests/support/images.py": images.VERSION,
        "README.md.in of the chart": readme.group(1) if readme else "",
        **{f"examples/quickstart.yaml, image {number}": version for number, version in enumerate(samples, 1)},
    }


def check_versions(tag: str) -> None:
    """Raises: SystemExit with the places that say another version than the tag."""
    wrong = [f"{place} says {version!r}" for place, version in versions().items() if f"v{version}" != tag]
    if wrong:
        raise SystemExit(f"the tag is {tag}: {'; '.join(wrong)}")


def build_images(registry: str) -> None:
    """Build for amd64 and arm64 and push; the same bytes from the same sources and bases."""
    epoch = _output("git", "log", "-1", "--format=%ct")
    bases = {argument: f"{base}@{_digest(base)}" for argument, base in pins.bases().items()}
    RELEASE.mkdir(parents=True, exist_ok=True)
    for image in images.FOR_USERS:
        reference = f"{registry}/{image.name}:{images.VERSION}"
        told = BUILD / f"{image.name}.metadata.json"
        _run(
            *("docker", "buildx", "build", "--platform", "linux/amd64,linux/arm64", "-f", image.dockerfile, "-t", reference),
            *("--provenance", "mode=max", "--sbom", "true", "--metadata-file", str(told)),
            *("--output", "type=image,push=true,rewrite-timestamp=true", "--build-arg", f"SOURCE_DATE_EPOCH={epoch}"),
            *images.arguments(image),
            *(f"--build-arg={argument}={base}" for argument, base in bases.items()),
            ".",
        )
        digest = json.loads(told.read_text())["containerimage.digest"]
        _run("cosign", "sign", "--yes", f"{registry}/{image.name}@{digest}")
        sbom = _output("docker", "buildx", "imagetools", "inspect", f"{reference}@{digest}", "--format", "{{json .SBOM}}")
        (RELEASE / f"{image.name}.spdx.json").write_text(sbom)
        print(f"{image.name}={digest}")
    for argument, base in bases.items():
        print(f"{argument}={base}")


def push_chart(registry: str) -> None:
    """Package, push to REGISTRY/charts, sign."""
    _run("helm", "package", str(_CHART), "--destination", str(BUILD))
    done = subprocess.run(
        ["helm", "push", str(BUILD / f"mcpgateway-operator-{images.VERSION}.tgz"), f"oci://{registry}/charts"],
        capture_output=True,
        text=True,
        check=True,
    )
    (digest,) = re.findall(r"Digest: (sha256:\S+)", done.stdout + done.stderr)
    _run("cosign", "sign", "--yes", f"{registry}/charts/mcpgateway-operator@{digest}")
    print(f"chart={digest}")


def write_files(registry: str, digests: dict[str, str]) -> None:
    """install.yaml by digests, and notes.md: the changes, the digests, how to verify them."""
    RELEASE.mkdir(parents=True, exist_ok=True)
    by_digest = [
        f"{value}.{key}"
        for value, name in (("image", "operator"), ("gatewayImage", "gateway"))
        for key in (f"repository={registry}/{name}", f"digest={digests[name]}")
    ]
    (RELEASE / "install.yaml").write_text(manifests.manifests(*by_digest))
    listed = "\n".join(f"| {name} | `{digest}` |" for name, digest in digests.items())
    (BUILD / "notes.md").write_text(f"{_changes()}\n\n## Digests\n\n| | |\n|---|---|\n{listed}\n\n{_VERIFY}\n")


_VERIFY = "docs/upgrade.md says what to do before an upgrade, and how to verify signatures, provenance and SBOMs."


def _changes() -> str:
    """The newest section of the changelog."""
    return (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1].partition("\n")[2].strip()


def _digest(reference: str) -> str:
    return _output("docker", "buildx", "imagetools", "inspect", reference, "--format", "{{.Manifest.Digest}}")


def _run(*command: str) -> None:
    subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)


def _output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def main(step: str, *arguments: str) -> None:
    """One step of the workflow."""
    if step == "versions":
        check_versions(*arguments)
    elif step == "images":
        build_images(*arguments)
    elif step == "chart":
        push_chart(*arguments)
    elif step == "files":
        registry, file = arguments
        write_files(registry, dict(line.split("=", 1) for line in Path(file).read_text().splitlines()))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])

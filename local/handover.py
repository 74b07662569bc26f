"""Giving a built image to containerd: only the layers that it lacks are written and read."""

import io
import json
import tarfile
import tempfile
from pathlib import Path

from local.buildah import blobs
from local.node import CTR
from local.progress import step
from local.run import run


def load(layout: Path, name: str) -> None:
    """Make an image of an OCI layout known to the kubelet as `name`, unless that very image is."""
    index = json.loads((layout / "index.json").read_text())
    reference = {"org.opencontainers.image.ref.name": name}
    entry = next(entry for entry in index["manifests"] if entry["annotations"] == reference)
    known_as = full_name(name)
    if entry["digest"] in run([*CTR, "images", "list", f"name=={known_as}"]):
        return
    annotations = {"io.containerd.image.name": known_as}
    index["manifests"] = [{**entry, "annotations": annotations}]
    present = set(run([*CTR, "content", "list", "--quiet"]).split())
    with step(f"loading {name}"), tempfile.NamedTemporaryFile(dir=layout) as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            _add(archive, "oci-layout", (layout / "oci-layout").read_bytes())
            _add(archive, "index.json", json.dumps(index).encode())
            for path in blobs(layout, entry["digest"]):
                if f"sha256:{path.name}" not in present:
                    archive.add(path, f"blobs/sha256/{path.name}")
        run([*CTR, "images", "import", file.name])


def full_name(name: str) -> str:
    """Return the name by which the kubelet asks for an image: `a/b:c` is one of docker.io."""
    first, slash, _ = name.partition("/")
    if slash and ("." in first or ":" in first):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))

"""Building images without a Docker daemon and without a registry, into an OCI layout in the cache.

The base image is made from Debian's archive by mmdebstrap. A build whose Dockerfile, arguments and
copied files are those of the last one is not run again.
"""

import hashlib
import importlib.util
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from local.images import Image
from local.layout import cache
from local.progress import step
from local.run import exclusive, run

# What `python:3.13-slim-trixie`, the Dockerfiles' usual base, is made of.
BASE_SUITE = "trixie"
BASE_PACKAGES = "python3,python3-venv,ca-certificates"
BASE_DOCKERFILE = "FROM scratch\nADD root.tar /\n"

CERTIFICATES = "/etc/ssl/certs"


def build(image: Image) -> Path:
    """Build what changed since the last time; return the OCI layout that has the image by name."""
    layout = _directory() / "layout"
    with exclusive(cache()):
        base = _base() if "BASE_IMAGE" in image.dockerfile.read_text() else ""
        built = _directory() / "built" / image.name.replace("/", "_")
        key = inputs_key(image, base)
        if not built.exists() or built.read_text() != key:
            with step(f"building {image.name}"):
                _build(image, base)
                _export(image.name, layout)
            built.parent.mkdir(exist_ok=True)
            built.write_text(key)
    return layout


def inputs_key(image: Image, base: str) -> str:
    """Return a hash of all that an image is made from."""
    text = image.dockerfile.read_text()
    digest = hashlib.sha256(json.dumps([text, base, dict(image.arguments)]).encode())
    for pattern in copied(text):
        for top in sorted(image.context.glob(pattern)):
            for path in [top] if top.is_file() else sorted(top.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    digest.update(str(path.relative_to(image.context)).encode())
                    digest.update(path.read_bytes())
    return digest.hexdigest()


def copied(dockerfile: str) -> Iterator[str]:
    """Yield the paths of the build context that a Dockerfile's COPY and ADD lines name."""
    for line in dockerfile.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words or words[0].upper() not in ("COPY", "ADD"):
            continue
        options = [word for word in words[1:] if word.startswith("--")]
        if not any(option.startswith("--from=") for option in options):
            yield from words[1 + len(options) : -1]


def _base() -> str:
    """Make the base image unless it is there, and return its name."""
    packages = hashlib.sha256(BASE_PACKAGES.encode()).hexdigest()[:12]
    name = f"localhost/voicepod/base:{BASE_SUITE}-{packages}"
    if name not in run(["buildah", "images", "--format", "{{.Name}}:{{.Tag}}"], env=_storage()):
        directory = _directory() / "base"
        directory.mkdir(exist_ok=True)
        root = directory / "root.tar"
        with step(f"making the base image: Debian {BASE_SUITE} with Python"):
            packages = f"--include={BASE_PACKAGES}"
            run(["mmdebstrap", "--quiet", "--variant=minbase", packages, BASE_SUITE, root])
            (directory / "Dockerfile").write_text(BASE_DOCKERFILE)
            run(["buildah", "build", "--quiet", f"--tag={name}", directory], env=_storage())
        root.unlink()
    return name


def _build(image: Image, base: str) -> None:
    arguments = dict(image.arguments)
    if base:
        arguments["BASE_IMAGE"] = base
    run(
        [
            "buildah",
            "build",
            "--layers",
            # The host's network and no namespaces: the containers of a build are trusted, and pip,
            # npm and apt reach what they reach on the host.
            "--isolation=chroot",
            "--network=host",
            *_host_settings(),
            *(f"--build-arg={name}={value}" for name, value in arguments.items()),
            f"--tag=localhost/{image.name}",
            f"--file={image.dockerfile}",
            image.context,
        ],
        env=_storage(),
    )


def _export(name: str, layout: Path) -> None:
    # Uncompressed: a layer's digest is then known before it is read, and one that is there is not
    # read at all.
    uncompressed = "--dest-oci-accept-uncompressed-layers"
    source = f"containers-storage:localhost/{name}"
    run(["skopeo", "copy", "--quiet", uncompressed, source, f"oci:{layout}:{name}"], env=_storage())
    # What had the name before is left in the layout without one.
    index = json.loads((layout / "index.json").read_text())
    index["manifests"] = [entry for entry in index["manifests"] if "annotations" in entry]
    (layout / "index.json").write_text(json.dumps(index))
    needed = {path for entry in index["manifests"] for path in blobs(layout, entry["digest"])}
    for path in (layout / "blobs" / "sha256").iterdir():
        if path not in needed:
            path.unlink()


def blobs(layout: Path, manifest: str) -> list[Path]:
    """Return an image's files in a layout: its manifest, its configuration, its layers."""
    content = json.loads(blob(layout, manifest).read_text())
    digests = [
        manifest,
        content["config"]["digest"],
        *(layer["digest"] for layer in content["layers"]),
    ]
    return [blob(layout, digest) for digest in digests]


def blob(layout: Path, digest: str) -> Path:
    """Return the file of a layout that holds what has this digest (`sha256:…`)."""
    return layout / "blobs" / Path(digest.replace(":", "/"))


def _directory() -> Path:
    """Return the part of the cache that images are made in; make it."""
    directory = cache() / "images"
    directory.mkdir(exist_ok=True)
    return directory


def _storage() -> dict[str, str]:
    """Return the environment that keeps buildah's and skopeo's storage in the cache."""
    directory = _directory()
    config = directory / "storage.conf"
    places = f'graphroot = "{directory}/storage"\nrunroot = "{directory}/run"\n'
    config.write_text(f'[storage]\ndriver = "overlay"\n{places}')
    return {"CONTAINERS_STORAGE_CONF": str(config)}


def _host_settings() -> Iterator[str]:
    """Yield mounts that give the build, not the image, the host's trust, pip and npm settings."""
    yield f"--volume={CERTIFICATES}:{CERTIFICATES}:ro"
    settings = {}
    if importlib.util.find_spec("pip"):
        settings = pip_settings(run([sys.executable, "-m", "pip", "config", "list"]))
    lines = [f"{name} = {value}" for name, value in settings.items()]
    pip_conf = _directory() / "pip.conf"
    pip_conf.write_text("\n".join(["[global]", *lines, ""]))
    yield f"--volume={pip_conf}:/etc/pip.conf:ro"
    npmrc = Path.home() / ".npmrc"
    if npmrc.exists():
        yield f"--volume={npmrc}:/root/.npmrc:ro"


def pip_settings(listing: str) -> dict[str, str]:
    """Turn `pip config list` into settings; the environment's, listed as `:env:`, win."""
    settings = {}
    for line in sorted(listing.splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = value.strip().strip("'\"")
    return settings

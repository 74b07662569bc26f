"""Whose cluster: the embedded one, kind's, or the current one of the user's kubeconfig.

Each provider is a module with the same four functions.
"""

import os
import shutil
from typing import Protocol

from local import current, embedded, kind
from local.cluster import Cluster
from local.errors import LocalError
from local.images import Image
from local.run import succeeds


class Provider(Protocol):
    """What a provider's module has."""

    def up(self) -> Cluster:
        """Start what does not run, and say how to reach it."""

    def find(self) -> Cluster:
        """Say how to reach the cluster that is up; LocalError when there is none."""

    def build(self, image: Image) -> None:
        """Make an image available to the cluster's pods."""

    def down(self) -> None:
        """Take away all that `up` made."""


def choose() -> Provider:
    """Return the provider that $CLUSTER names; else kind where it works, else the embedded one."""
    name = os.environ.get("CLUSTER") or ("kind" if _kind_works() else "embedded")
    providers: dict[str, Provider] = {"embedded": embedded, "kind": kind, "current": current}
    if name not in providers:
        raise LocalError(f"CLUSTER={name}: it can be {', '.join(providers)}")
    return providers[name]


def _kind_works() -> bool:
    programs = all(shutil.which(name) for name in ("docker", "kind"))
    return programs and succeeds(["docker", "info"])


def up() -> Cluster:
    """Start the cluster and LiveKit where they don't run, and wait until they can be used."""
    return choose().up()


def find() -> Cluster:
    """Return the cluster that is up. Raises LocalError when there is none."""
    return choose().find()


def build(image: Image) -> None:
    """Build what changed of an image, and hand it to the cluster that is up."""
    choose().build(image)


def down() -> None:
    """End the cluster and leave nothing of it."""
    choose().down()

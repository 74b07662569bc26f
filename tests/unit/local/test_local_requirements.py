"""What a fresh machine must get first."""

from pathlib import Path

import pytest

from local.debian import PACKAGES, missing_packages
from local.dns import corefile
from local.errors import LocalError
from local.provider import choose
from local.tools import TOOLS, kubernetes_version

pytestmark = pytest.mark.unit

TOOLS_DIRECTORY = Path(__file__).resolve().parents[3] / "tools"


def test_a_package_that_was_removed_or_half_installed_is_missing() -> None:
    states = dict.fromkeys(PACKAGES, "installed")
    states |= {"runc": "config-files", "socat": "half-configured"}
    del states["buildah"]
    listing = "".join(f"{package} {state}\n" for package, state in states.items())
    assert set(missing_packages(listing)) == {"runc", "socat", "buildah"}


def test_kubernetes_gets_the_version_that_its_go_mod_pins() -> None:
    assert kubernetes_version("require (\n\tk8s.io/kubernetes v1.37.2\n)\n") == {
        "gitVersion": "v1.37.2",
        "gitMajor": "1",
        "gitMinor": "37",
    }


def test_every_tool_has_its_go_mod() -> None:
    assert all((TOOLS_DIRECTORY / tool.module / "go.mod").exists() for tool in TOOLS)


def test_without_a_resolver_of_the_host_dns_serves_the_cluster_alone() -> None:
    assert "forward" in corefile("nameserver 192.0.2.53\n")
    assert "forward" not in corefile("# none\n")


def test_an_unknown_provider_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER", "minikube")
    with pytest.raises(LocalError, match="CLUSTER=minikube: it can be embedded, kind, current"):
        choose()

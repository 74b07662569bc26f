"""What `down` does to the machine's iptables rules, and what `up` refuses."""

import pytest

from local.network import overlapping, removals

pytestmark = pytest.mark.unit

RULES = """\
-P INPUT ACCEPT
-P POSTROUTING ACCEPT
-N DOCKER
-N KUBE-POSTROUTING
-N KUBE-SERVICES
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A INPUT -i voicepod0 -m comment --comment voicepod-local -j ACCEPT
-A DOCKER -i docker0 -j RETURN
-A KUBE-SERVICES -d 10.214.0.1/32 -j KUBE-POSTROUTING
"""


def test_removes_jumps_then_empties_then_deletes_chains_and_leaves_what_is_not_ours() -> None:
    assert removals(RULES) == [
        '-D INPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
        "-D INPUT -i voicepod0 -m comment --comment voicepod-local -j ACCEPT",
        "-F KUBE-POSTROUTING",
        "-F KUBE-SERVICES",
        "-X KUBE-POSTROUTING",
        "-X KUBE-SERVICES",
    ]


def test_a_route_into_the_clusters_networks_is_in_the_way_whatever_its_size() -> None:
    routes = ["default", "192.0.2.0/24", "10.213.0.7", "10.214.0.0/30", "10.208.0.0/12"]
    assert overlapping(routes) == ["10.213.0.7", "10.214.0.0/30", "10.208.0.0/12"]

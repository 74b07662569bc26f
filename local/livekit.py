"""A LiveKit server beside the cluster, reached from pods and host alike by the bridge's address."""

import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.certs import write_secret
from local.daemon import Daemons

READY_SECONDS = 30.0
# It drains on SIGTERM, and lives on while rooms are open: nobody waits for those here.
GRACE_SECONDS = 2.0


@dataclass(frozen=True)
class Ports:
    """What a server listens on; servers beside each other share none of it."""

    http: int = 7880
    rtc_tcp: int = 7881
    # A range, not one `udp_port`: with that, ICE from pods fails.
    rtc_udp: tuple[int, int] = (50000, 50200)


PORTS = Ports()


@dataclass(frozen=True)
class Credentials:
    """The one key pair of the server."""

    api_key: str
    api_secret: str


def start(
    daemons: Daemons,
    interface: str,
    address: str,
    webhook: str,
    ports: Ports = PORTS,
    settings: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
) -> Credentials:
    """Start the server on `address` of `interface`, unless it runs, and wait until it answers.

    Its key pair is made at the first start and kept beside the pid files; events are posted to
    `webhook`. `settings` of its configuration file and `env` come on top of what it needs.
    """
    config = daemons.state / "livekit.json"
    if not config.exists():
        content = configuration(interface, address, ports, webhook) | dict(settings or {})
        write_secret(config, json.dumps(content, indent=2).encode())  # JSON is YAML
    daemons.start("livekit-server", f"--config={config}", env=env)
    daemons.wait(
        "starting livekit-server",
        lambda: answers(f"http://{address}:{ports.http}"),
        needs=("livekit-server",),
        seconds=READY_SECONDS,
    )
    return credentials(daemons.state)


def configuration(
    interface: str, address: str, ports: Ports, webhook: str | None = None
) -> dict[str, Any]:
    """Return the configuration of a server, with a new key pair; it posts to no URL or to one."""
    api_key, api_secret = f"API{secrets.token_hex(6)}", secrets.token_hex(32)
    return {
        "port": ports.http,
        "bind_addresses": [address],
        "keys": {api_key: api_secret},
        "webhook": {"api_key": api_key, "urls": [webhook] if webhook else []},
        "rtc": {
            "tcp_port": ports.rtc_tcp,
            "port_range_start": ports.rtc_udp[0],
            "port_range_end": ports.rtc_udp[1],
            "use_external_ip": False,
            "node_ip": address,
            "interfaces": {"includes": [interface]},
        },
    }


def credentials(directory: Path) -> Credentials:
    """Return the key pair of the server that was started from this directory."""
    keys = json.loads((directory / "livekit.json").read_text())["keys"]
    return Credentials(*next(iter(keys.items())))


def stop(daemons: Daemons) -> None:
    """End the server, open rooms or not."""
    daemons.stop(["livekit-server"], GRACE_SECONDS)


def answers(url: str) -> bool:
    """Say whether a server answers at its URL (http://…)."""
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False

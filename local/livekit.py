"""A LiveKit server beside the cluster, reached from pods and host alike by the bridge's address."""

import json
import secrets
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from local import daemon
from local.certs import write_secret

PORT = 7880

READY_SECONDS = 30.0
# It drains on SIGTERM, and lives on while rooms are open: nobody waits for those here.
GRACE_SECONDS = 2.0


@dataclass(frozen=True)
class Credentials:
    """The one key pair of the server."""

    api_key: str
    api_secret: str


def start(directory: Path, interface: str, address: str, webhook: str) -> Credentials:
    """Start the server on `address` of `interface`, unless it runs, and wait until it answers.

    Its key pair is made at the first start and kept in `directory`; events are posted to `webhook`.
    """
    config = directory / "livekit.json"
    if not config.exists():
        api_key, api_secret = f"API{secrets.token_hex(6)}", secrets.token_hex(32)
        content = {
            "port": PORT,
            "bind_addresses": [address],
            "keys": {api_key: api_secret},
            "webhook": {"api_key": api_key, "urls": [webhook]},
            "rtc": {
                "tcp_port": 7881,
                # A range, not one `udp_port`: with that, ICE from pods fails.
                "port_range_start": 50000,
                "port_range_end": 50200,
                "use_external_ip": False,
                "node_ip": address,
                "interfaces": {"includes": [interface]},
            },
        }
        write_secret(config, json.dumps(content, indent=2).encode())  # JSON is YAML
    daemon.start("livekit-server", f"--config={config}")
    daemon.wait(
        "starting livekit-server",
        lambda: _answers(f"http://{address}:{PORT}"),
        needs=("livekit-server",),
        seconds=READY_SECONDS,
    )
    return credentials(directory)


def credentials(directory: Path) -> Credentials:
    """Return the key pair of the server that was started from this directory."""
    keys = json.loads((directory / "livekit.json").read_text())["keys"]
    return Credentials(*next(iter(keys.items())))


def stop() -> None:
    """End the server, open rooms or not."""
    daemon.stop(["livekit-server"], GRACE_SECONDS)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False

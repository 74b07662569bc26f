"""``voicepod operator | gateway | sidecar``: one image, three processes."""

import asyncio
import sys

USAGE = "usage: voicepod operator | gateway | sidecar"


def main() -> None:
    """Run the process that the first argument names; the settings come from the environment."""
    match sys.argv[1:]:
        case ["operator"]:
            import uvloop

            from voicepod.operator import run as run_operator

            uvloop.run(run_operator())
        case ["gateway"]:
            import uvloop

            from voicepod.gateway.app import run as run_gateway
            from voicepod.settings import GatewaySettings

            uvloop.run(run_gateway(GatewaySettings()))
        case ["sidecar"]:
            # The sidecar is in every pod: it loads neither operator nor gateway, nor uvloop.
            from voicepod.sidecar.app import run as run_sidecar

            asyncio.run(run_sidecar())
        case _:
            sys.exit(USAGE)


if __name__ == "__main__":
    main()

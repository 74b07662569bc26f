"""``voicepod operator | gateway | sidecar | plan``: one image, three processes and a command."""

import asyncio
import gc
import sys
from typing import Final

USAGE = "usage: voicepod operator | gateway | sidecar | plan"

# New objects between two looks for those that only refer to each other: the default of 700 has the
# collector look every few requests.
_YOUNG: Final = 10_000


def main() -> None:
    """Run what the first argument names; processes have their settings from the environment."""
    match sys.argv[1:]:
        case ["operator"]:
            import uvloop

            from voicepod.operator import run as run_operator

            _keep_what_is_loaded()
            uvloop.run(run_operator())
        case ["gateway"]:
            import uvloop

            from voicepod.gateway.app import run as run_gateway
            from voicepod.settings import GatewaySettings

            _keep_what_is_loaded()
            uvloop.run(run_gateway(GatewaySettings()))
        case ["sidecar"]:
            # The sidecar is in every pod: it loads neither operator nor gateway, nor uvloop.
            from voicepod.sidecar.app import run as run_sidecar

            asyncio.run(run_sidecar())
        case ["plan", *options]:
            from voicepod.plan.cli import app

            app(options, prog_name="voicepod plan")
        case _:
            sys.exit(USAGE)


def _keep_what_is_loaded() -> None:
    """Have the garbage collector pass over modules and classes, and look seldom at the rest."""
    from voicepod.process import keep_for_good

    keep_for_good()
    gc.set_threshold(_YOUNG)


if __name__ == "__main__":
    main()

"""``python -m voicepod.sidecar``."""

import asyncio

from voicepod.sidecar.app import run

asyncio.run(run())

"""Programs beside a bench that end with it, however it ends."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from local.run import environment

# Seconds from SIGTERM to SIGKILL: livekit-server lives on while rooms are open.
_GRACE = 3.0


@asynccontextmanager
async def running(
    *argv: str | Path,
    log: Path,
    env: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program while the body runs; what it says goes to the end of ``log``.

    It gets none of this process's environment (proxies, locale, tokens) but the PATH, and ``env``.
    Should this very process be killed, the kernel ends the program, too.
    """
    path = environment()["PATH"]
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *(str(shutil.which("setpriv", path=path)), "--pdeathsig", "KILL"),
            *(str(part) for part in argv),
            env={"PATH": path, "HOME": "/root", **(env or {})},
            cwd=directory,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(_GRACE):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

"""`python -m local`: up, down, images, env."""

import asyncio
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import typer

import local
from local.progress import console

app = typer.Typer(help=local.__doc__, no_args_is_help=True, add_completion=False)


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turn what is expected to go wrong into a message and exit status 1."""
    try:
        yield
    except local.LocalError as error:
        console.print(f"error: {error}", markup=False)
        sys.exit(1)


@app.command()
def up() -> None:
    """Start the cluster and LiveKit where they don't run."""
    started = time.monotonic()
    with told_plainly():
        cluster = local.up()
    console.print(f"cluster: {cluster.provider}, up after {time.monotonic() - started:.1f} s")
    console.print(f"livekit: {cluster.livekit_url}")
    console.print('for your shell: eval "$(.venv/bin/python -m local env)"')


@app.command()
def images() -> None:
    """Build what changed of the operator's and the agent's image, and hand it to the cluster."""
    with told_plainly():
        for image in (local.OPERATOR, local.AGENT):
            local.build(image)
            console.print(f"image: {image.name} is what the checkout makes")


@app.command()
def demo() -> None:
    """Make one call, from nothing to a pod that is gone again, and tell what happens."""
    # Imported here: the other commands need neither numpy nor LiveKit's client.
    from local.demo import run

    with told_plainly():
        asyncio.run(run())


@app.command()
def env() -> None:
    """Print what lets a shell's kubectl, helm and LiveKit tools find the cluster."""
    with told_plainly():
        for name, value in local.find().environment().items():
            print(f"export {name}={shlex.quote(value)}")


@app.command()
def down() -> None:
    """End the cluster and leave nothing of it but the cache."""
    with told_plainly():
        local.down()


app()

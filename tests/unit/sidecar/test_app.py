"""The sidecar's process: how it starts, and how it goes."""

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import MISSING, fields

import aiohttp
import pytest
from livekit.protocol import agent

from tests.support.waiting import until
from tests.unit.sidecar.fakes import HOST, POD_UID, Surroundings, surroundings
from tests.unit.sidecar.test_runtime_api import keep
from voicepod.assignment.signing import Signer, generate_key
from voicepod.sidecar import app, logs, supervisor
from voicepod.sidecar.settings import Settings, SettingsError

pytestmark = pytest.mark.unit


@asynccontextmanager
async def running(
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[tuple[Surroundings, asyncio.Task[None]]]:
    """A sidecar's process, in this one."""
    monkeypatch.setattr(logs, "configure", lambda: None)  # the test's own logging stays
    async with surroundings() as pod:
        for entry in fields(Settings):
            value = getattr(pod.settings, entry.name)
            monkeypatch.setenv(f"VOICEPOD_{entry.name.upper()}", str(value))
        monkeypatch.setattr(app, "AGENT_PORT", pod.agent_port)
        monkeypatch.setattr(app, "OPERATOR_PORT", pod.operator_port)
        process = asyncio.create_task(app.run())
        await until_live(pod)
        yield pod, process
        await process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_job_before_the_process(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(monkeypatch) as (pod, process):
        worker = await pod.running()

        os.kill(os.getpid(), number)
        assert (await worker.receive("termination")).job_id == "AJ_1"
        assert not process.done()
        await worker.report(agent.JobStatus.JS_SUCCESS)
        await process
        assert pod.operator.hints


async def test_the_conversation_of_a_lost_agent_is_handed_over_before_the_process_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(monkeypatch) as (pod, process):
        worker = await pod.running()
        assert await keep(pod, "so far") == 204
        hinted = len(pod.operator.hints)
        await worker.socket.close()
        await until(lambda: len(pod.operator.hints) > hinted)

        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.05)
        assert not process.done()
        assert await pod.client.checkpoint(HOST, POD_UID) == "so far"


async def test_a_conversation_that_nobody_asks_for_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "_HANDOVER", 0.01)
    async with running(monkeypatch) as (pod, _):
        worker = await pod.running()
        assert await keep(pod, "so far") == 204
        hinted = len(pod.operator.hints)
        await worker.socket.close()
        await until(lambda: len(pod.operator.hints) > hinted)
        os.kill(os.getpid(), signal.SIGTERM)


async def until_live(pod: Surroundings) -> None:
    for _ in range(1000):
        with contextlib.suppress(aiohttp.ClientError):
            if await pod.get("/live") == 200:
                return
        await asyncio.sleep(0.005)
    pytest.fail("the sidecar does not listen")


async def test_a_sidecar_without_its_settings_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "configure", lambda: None)
    for entry in fields(Settings):
        monkeypatch.delenv(f"VOICEPOD_{entry.name.upper()}", raising=False)
    with pytest.raises(SystemExit, match="not set: VOICEPOD_POD_NAME, VOICEPOD_POD_NAMESPACE"):
        await app.run()


def settings_of_a_pod() -> dict[str, str]:
    required = [entry.name for entry in fields(Settings) if entry.default is MISSING]
    return {f"VOICEPOD_{name.upper()}": "x" for name in required}


def test_a_pod_whose_voiceagent_has_no_redis_needs_none() -> None:
    settings = Settings.from_environment(settings_of_a_pod())
    assert (settings.redis_url, settings.checkpoint_ttl) == ("", 0)


def test_a_redis_comes_with_the_time_that_it_keeps_a_conversation() -> None:
    redis = {"VOICEPOD_REDIS_URL": "redis://redis", "VOICEPOD_CHECKPOINT_TTL": "7200"}
    settings = Settings.from_environment(settings_of_a_pod() | redis)
    assert (settings.redis_url, settings.checkpoint_ttl) == ("redis://redis", 7200)


async def test_a_sidecar_with_an_odd_url_of_redis_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "configure", lambda: None)
    key = Signer(generate_key()).public_key
    odd = {"VOICEPOD_OPERATOR_PUBLIC_KEY": key, "VOICEPOD_REDIS_URL": "http://redis"}
    for name, value in (settings_of_a_pod() | odd).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match="voicepod sidecar: the URL of Redis is not one such as"):
        await app.run()


def test_an_empty_setting_is_a_missing_one() -> None:
    environment = settings_of_a_pod()
    with pytest.raises(SettingsError, match="not set: VOICEPOD_AGENT_KEY"):
        Settings.from_environment(environment | {"VOICEPOD_AGENT_KEY": ""})


def test_keys_do_not_show_in_logs() -> None:
    assert "secret" not in repr(Settings("a", "b", "c", "d", "e", "secret", "secret", "secret"))


def test_logs_are_one_json_object_a_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        info = (ValueError, error, error.__traceback__)
    record = logging.LogRecord("voicepod", logging.INFO, "", 0, "said %r", ("hello",), info)
    line = logs.JsonFormatter().format(record)
    assert "\n" not in line
    written = json.loads(line)
    assert (written["event"], written["level"]) == ("said 'hello'", "info")
    assert "two\nlines" in written["exception"]

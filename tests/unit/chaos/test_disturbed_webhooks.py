"""The bad network between LiveKit and the gateway."""

import random
from collections import Counter

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.chaos import webhooks
from tests.chaos.webhooks import Disturbed, fate

pytestmark = pytest.mark.unit


def test_webhooks_get_lost_doubled_late_and_out_of_order() -> None:
    chance = random.Random(1)
    fates = [fate(chance) for _ in range(3000)]
    copies = Counter(map(len, fates))
    # 30 % lost; of the others, 30 % doubled.
    assert copies[0] == pytest.approx(900, abs=100)
    assert copies[2] == pytest.approx(630, abs=100)
    delays = [delay for each in fates for delay in each]
    assert 0 <= min(delays) < max(delays) <= 10
    assert delays != sorted(delays)


async def test_what_arrives_is_what_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "fate", lambda chance: [0.0, 0.0])
    arrived: list[tuple[bytes, str]] = []

    async def hook(request: web.Request) -> web.Response:
        arrived.append((await request.read(), request.headers["Authorization"]))
        return web.Response(status=200 if len(arrived) == 1 else 503)

    app = web.Application()
    app.router.add_post("/hook", hook)
    async with TestServer(app) as gateway:
        disturbed = Disturbed(str(gateway.make_url("/hook")), random.Random(1))
        async with disturbed.listening() as url, aiohttp.ClientSession() as livekit:
            headers = {"Authorization": "signed", "Content-Type": "application/webhook+json"}
            async with livekit.post(url, data=b"an event", headers=headers) as answer:
                assert answer.status == 200
            await disturbed.settled()

    assert arrived == [(b"an event", "signed")] * 2
    assert disturbed.counts == {"sent": 1, "lost": 0, "doubled": 1, "delivered": 1, "refused": 1}

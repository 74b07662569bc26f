"""What is gone for a while in a storm: the API server; and LiveKit, which forgets its rooms."""

import asyncio
from typing import Final

from tests.simulation.livekit import Participant
from tests.simulation.scene import API_SERVER, LIVEKIT, Scene

# In seconds, between two moments at which something may go.
_EVERY: Final = 10.0

# In seconds. An API server that is upgraded is away for seconds, one without its etcd for longer.
_AWAY: Final = (1.0, 60.0)

# In seconds: a livekit-server starts in one; clients then come back by their own backoff.
_START: Final = (0.5, 5.0)
_COME_BACK: Final = (0.3, 8.0)


class Outages:
    """Whoever pulls the plugs."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._chance = scene.chance("outages")

    async def happen(self) -> None:
        """Have now one server be away and now the other, until cancelled."""
        weather, chance = self._scene.weather, self._chance
        while True:
            await asyncio.sleep(_EVERY)
            if chance.happens(weather.api_server_away):
                with self._scene.without(API_SERVER):
                    await asyncio.sleep(chance.between(*_AWAY))
            if chance.happens(weather.livekit_restarted):
                with self._scene.without(LIVEKIT):
                    self._scene.livekit.restart(self._comes_back)
                    await asyncio.sleep(chance.between(*_START))

    def _comes_back(self, one: Participant) -> float | None:
        # A client in a browser tries on; of agents some SDKs do, and some end their job.
        back = not one.agent or self._chance.happens(0.5)
        return self._chance.between(*_COME_BACK) if back else None

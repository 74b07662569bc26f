"""Calls on the local cluster, while its parts are killed at random: `make chaos`.

All is real: the API server, the kubelet, livekit-server, the chart, its Redis, the callers. A few
callers at a time join rooms, talk, and hang up. Meanwhile processes of operator, gateway, Redis,
agents, sidecars, whole agent pods, livekit-server and the API server are killed by SIGKILL, in an
order and at times that follow from a seed; who supervises them starts them again. Once the API
server stays away for up to a minute. With `WEBHOOKS=1`, between livekit-server and the gateway are
the losses of ``webhooks``.

The callers do what a real one does. Their SDK reconnects by itself; when it gives up, they join the
same room again. A caller without an agent at the time to hang up stays on the line, until there is
one or patience is at its end; but one in eight hangs up after seconds, agent or not.

The last line counts:

- **lost**: callers who stayed, and were without an agent's audio track for more than ``PATIENCE``
  at a stretch, or were put out of their room. Time in which the API server or livekit-server
  was killed and not back yet does not count: nobody can start a call then, and it is documented.
- **doubled**: callers who had the audio tracks of two agents at once.
- **leaked**: sessions that go on, pods of sessions, and pods beyond the pool, when all callers have
  hung up and ``PATIENCE`` has passed.
- **longest-gap**: the longest time, in seconds, that a caller who was there had no agent's audio
  track: the first one's coming included, and the time that servers were away as well.
"""

"""The sidecar: what stands in LiveKit's place beside every agent.

It speaks LiveKit's worker protocol to the agent, and takes the operator's one signed assignment::

    operator ──assign, token, end, status──▶ operator_api ─┐
    kubelet ──probes, preStop──────────────▶ operator_api ─┤
                                                           ▼
    agent ◀──worker protocol───────────────▶ worker ◀─▶ supervisor ──▶ state (pure)
    agent ──its LiveKit API calls──────────▶ room_service ─┤
    agent ──beats, checkpoints─────────────▶ runtime_api ──┤
                                                           ├──▶ hints ──▶ operator
                                                           ├──▶ store ──▶ Redis, if there is one
                                       room_watch, room ◀──┘
                                            └──▶ LiveKit, for this one room

A call goes on when the operator is gone, and the pod holds no LiveKit secret. One sidecar runs in
every pod, so that it is measured in megabytes: no pydantic, no kubernetes, no livekit.api.
"""

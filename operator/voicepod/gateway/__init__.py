"""The gateway: makes a VoiceSession of a webhook, or for a token. Stateless; run many of them.

::

    webhooks ──▶ keyring ──▶ reception ──▶ sessions    watches ──▶ directory
    LiveKit's    whose       what to do    makes it    kopf        what there is
                                              ▲
    tokens ────▶ hook ─────▶ preparation ─────┘
    callers'     who may     waits for the agent

A webhook is a hint. It may come late, twice, out of order or never, and so it only ever does two
things: make a session whose name follows from the room's, where a second attempt is a 409, or
touch a session, upon which the operator asks LiveKit what is true.
"""

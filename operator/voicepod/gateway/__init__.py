"""The gateway: makes a VoiceSession of a LiveKit webhook. Stateless; run as many as you like.

::

    http ──▶ keyring ──▶ reception ──▶ matching        watches ──▶ directory
    limits   who signed   what to do    whose room      kopf        what there is

A webhook is a hint. It may come late, twice, out of order or never, and so it only ever does two
things: make a session whose name follows from the room's sid, where a second attempt is a 409, or
touch a session, upon which the operator asks LiveKit what is true.
"""

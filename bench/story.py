"""What a LiveKit server logs of a call: the same for all ways, whoever brings the agent."""

import json
import re
from datetime import datetime
from pathlib import Path

# Messages about a participant, and what they mean.
_PARTICIPANT = {
    "starting RTC session": "asks to join",
    "participant active": "is connected",
    "mediaTrack published": "sends audio",
}


def read(log: Path, start: int, room: str) -> dict[str, float]:
    """Return when each step of a room's call happened, in unix seconds.

    ``start`` is where in the log to begin. Of what happened twice the first time counts.
    """
    steps: dict[str, float] = {}
    with log.open("rb") as file:
        file.seek(start)
        for line in file.read().decode(errors="replace").splitlines():
            fields = line.split("\t")
            if len(fields) < 6 or room not in fields[5]:
                continue
            at, message = datetime.fromisoformat(fields[0]).timestamp(), fields[4]
            said = json.loads(fields[5])
            if message == "sent webhook" and said.get("event") == "room_started":
                steps.setdefault("webhook sent", at - seconds(said["sendDuration"]))
                steps.setdefault("webhook answered", at)
            elif meaning := _PARTICIPANT.get(message):
                who = "caller" if said["participant"] == "caller" else "agent"
                steps.setdefault(f"{who} {meaning}", at)
    return steps


def seconds(duration: str) -> float:
    """Return what Go writes for a duration of less than a minute, such as ``68.7ms``."""
    found = re.fullmatch(r"([\d.]+)(ns|µs|ms|s)", duration)
    if found is None:
        raise ValueError(f"not a duration under a minute: {duration}")
    return float(found[1]) * {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0}[found[2]]

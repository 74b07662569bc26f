"""LiveKit's protobuf messages, three files of them.

Importing ``livekit.protocol`` loads the messages of every service there is, which are 4 MB more in
each pod. So the package is put in place without running its ``__init__``.
"""

import importlib.util
import sys

if "livekit.protocol" not in sys.modules:
    _spec = importlib.util.find_spec("livekit.protocol")
    assert _spec
    sys.modules["livekit.protocol"] = importlib.util.module_from_spec(_spec)

from livekit.protocol import agent, models, room

__all__ = ["agent", "models", "room"]

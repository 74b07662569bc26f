"""voicepod: one call, one pod."""

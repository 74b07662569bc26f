"""The one door to LiveKit: what its rooms hold, tokens for its rooms, and its webhooks."""

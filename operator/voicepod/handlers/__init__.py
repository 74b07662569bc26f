"""Where news comes in: watches, hints, lists. Each only updates the cache and enqueues a key."""

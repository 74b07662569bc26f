"""`make bench-claim`: how soon a session has its pod, and what it costs the cluster.

KWOK's nodes and pods on a real API server, a warm pool, the real operator, gateway and LiveKit;
sessions come open-loop, by a Poisson process, at one rate after the other.
"""

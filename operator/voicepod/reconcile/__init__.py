"""The reconciler: observe what is, decide what should be, act.

``decide`` is pure and holds every rule; what surrounds it reads the world and carries its actions
out. Whatever the operator remembers can be learnt again from the API server, the pods' sidecars
and LiveKit, so that it may be killed at any point.
"""

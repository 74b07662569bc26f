"""`make bench-scale`: whether ten thousand calls that are on slow down the one that begins.

The same rig as `bench.claim`: KWOK's nodes and pods on a real API server, the real operator,
gateway and LiveKit. Calls come and go at half the rate that the operator keeps up with, first
beside a hundred calls, then beside ten thousand. Those are laid down while the operator is off, so
that its start is measured too; and it is killed in the middle of the churn.
"""

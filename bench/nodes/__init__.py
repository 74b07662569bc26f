"""`make bench-nodes`: a day of calls on Karpenter's nodes, and what the nodes cost.

The real operator, gateway, LiveKit, scheduler and Karpenter on a real API server; KWOK plays the
nodes that Karpenter orders, and the pods. The day is compressed, as `day` says.
"""

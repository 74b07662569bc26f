"""The contract between the operator and the pods: who says what, signed how, answered how.

Operator and sidecar are built from one image but roll out at different times, so that both only
know these messages of each other. The package is part of every sidecar: it imports nothing that
costs memory there.
"""

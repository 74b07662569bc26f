"""Voicepod at scale on this machine: a real API server, KWOK's nodes and pods, stand-in sidecars.

`rig.running()` starts a control plane of its own beside the local cluster, on the loopback alone,
a livekit-server, and the checkout's operator and gateway as processes. KWOK plays the kubelets,
and `sidecars` speaks for the pods, so that hundreds of calls fit on two cores.
"""

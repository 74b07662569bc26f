"""The resources of group ``voicepod.dev``: models, conditions, and the CRDs made from them.

This package knows no cluster and no LiveKit; everything else may import it.
"""

"""The one door to the Kubernetes API: plain dicts in, plain dicts out."""

"""Logs and metrics of operator and gateway."""

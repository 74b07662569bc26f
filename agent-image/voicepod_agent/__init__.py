"""What the default agent is made of: its settings, and the pipelines that it can talk with."""

"""The data plane's process, one per version: checks, batches, scores and records what a client asks.

It imports no mlflow, pandas nor database client, so that it starts in a second and predicts while the control plane is
down.
"""

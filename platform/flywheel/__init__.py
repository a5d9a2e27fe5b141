"""The kernel: what training, registry, deploy and monitoring share, and nothing of theirs."""

__version__ = "0.1.0"

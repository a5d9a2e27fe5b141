"""What the exporter looks at: parts of the stack, programs of the supervisor, the prediction log."""

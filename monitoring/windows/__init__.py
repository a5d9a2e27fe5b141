"""Windows: spans of the prediction log, joined with the outcomes that were known."""

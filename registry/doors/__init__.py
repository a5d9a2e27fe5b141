"""Every way into the server that could go round the gate: their census, and what stands before each."""

"""Who may do what: the policy in force, how it changes, and the rules it makes. In flow facts, out flow verdicts."""

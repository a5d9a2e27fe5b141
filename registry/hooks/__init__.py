"""What others are told, and what they may veto: pre hooks, the outbox, signed webhooks."""

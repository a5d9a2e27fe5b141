"""What was where when, by whose decision: folds of the audit trail, differences of versions, rollback."""

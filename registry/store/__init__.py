"""The gate store: MLflow's registry store with the policy in front of every write and an event behind it."""

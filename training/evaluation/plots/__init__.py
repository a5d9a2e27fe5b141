"""Pictures of an evaluation and of the search before it, for the run's page and the training card."""

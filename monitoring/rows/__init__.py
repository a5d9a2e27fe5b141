"""The rows behind an alert, with their ids: what somebody types who has been told of a column, a slice or a loss."""

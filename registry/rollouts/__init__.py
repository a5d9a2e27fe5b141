"""Rollouts as the registry sees them: their record read from the trail, what people say of one, its page and report."""

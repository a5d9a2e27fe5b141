"""The search: an Optuna study whose trials several processes share, and what people and MLflow see of it."""

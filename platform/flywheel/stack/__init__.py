"""What runs as a service and how: supervisor, Postgres, S3, MLflow and Envoy, started and stopped as one stack."""

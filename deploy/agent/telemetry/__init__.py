"""What an agent tells of itself: Prometheus metrics, OpenTelemetry traces, one log line where a request went wrong."""

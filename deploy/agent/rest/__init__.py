"""HTTP: MLflow's and the Open Inference Protocol's requests over ASGI."""

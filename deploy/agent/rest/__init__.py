"""HTTP: MLflow's and the Open Inference Protocol's requests over HTTP/1.1."""

"""What scores rows: `mlflow models serve` workers or ONNX Runtime in this process, behind one protocol."""

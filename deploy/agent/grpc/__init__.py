"""The Open Inference Protocol (V2) over gRPC: messages, their tensors, the service and its server."""

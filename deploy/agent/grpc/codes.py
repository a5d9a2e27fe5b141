"""A refusal in gRPC's status codes."""

import grpc

from deploy.agent.refusal import RefusalError

CODES = {
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}


def code_of(refusal: RefusalError) -> grpc.StatusCode:
    """Return gRPC's code for a refusal."""
    if refusal.rule == "deadline":
        return grpc.StatusCode.DEADLINE_EXCEEDED
    return CODES.get(refusal.status, grpc.StatusCode.INVALID_ARGUMENT)

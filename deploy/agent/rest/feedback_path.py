"""POST /feedback: what became of a prediction, or of an entity."""

import orjson

from deploy.agent.feedback import Feedback, OutcomeReader, OutcomeSink, utc_now
from deploy.agent.http import Request, Response
from deploy.agent.limits import Limits
from deploy.agent.rest.route import Route, Routes, check_media_type
from flywheel.contract import Contract


class FeedbackPath:
    """Takes outcomes; they are durable before it answers."""

    def __init__(self, contract: Contract, sink: OutcomeSink, limits: Limits) -> None:
        self._reader = OutcomeReader(contract, limits.request_rows)
        self._feedback = Feedback(sink)

    def routes(self) -> Routes:
        """Return the path."""
        return {"/feedback": Route("POST", self._take, protocol="feedback")}

    async def _take(self, request: Request) -> Response:
        check_media_type(request.headers, b"application/json")
        accepted, repeated = self._feedback.take(self._reader.read(request.body, utc_now()))
        return Response(200, orjson.dumps({"accepted": accepted, "repeated": repeated}))

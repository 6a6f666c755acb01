"""Problem details (RFC 9457) as responses."""

import json

from starlette.responses import Response

from mainstem.common.errors import PROBLEM, MainstemError


def problem_response(error: MainstemError) -> Response:
    """Return the answer to a failed request, as problem details (RFC 9457)."""
    return Response(json.dumps(error.problem()), int(error.status), headers=error.headers, media_type=PROBLEM)

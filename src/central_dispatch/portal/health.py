"""GET /healthz: whether the dispatcher answers and its database can be read. For `up` and for monitoring."""

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_GET

from central_dispatch.portal.access import requires


@requires("public")
@require_GET
def healthz(_request: HttpRequest) -> JsonResponse:
    """Answer 200 with `{"ok": true}`, or 503."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM fleet_worker LIMIT 1")
            cursor.fetchone()
    except DatabaseError:
        return JsonResponse({"ok": False, "problem": "the database cannot be read"}, status=503)
    return JsonResponse({"ok": True})

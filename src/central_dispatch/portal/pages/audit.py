"""The audit trail, for administrators."""

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from central_dispatch.portal.access import requires
from central_dispatch.portal.audit.models import AuditEntry
from central_dispatch.portal.pages.paging import paged
from central_dispatch.portal.pages.rendering import show


@requires("audit.view")
@require_safe
def audit(request: HttpRequest) -> HttpResponse:
    """List the entries, newest first; `q` looks in who, what and on which."""
    text = request.GET.get("q", "").strip()
    entries = AuditEntry.objects.all()
    if text:
        entries = entries.filter(Q(who__icontains=text) | Q(what__icontains=text) | Q(title__icontains=text))
    return show(request, "audit.html", "parts/audit.html", {"paged": paged(request, entries), "text": text})

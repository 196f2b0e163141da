"""Settings → Central Dispatch → Central Dispatch Settings: the workers."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from central_dispatch.fleet import queries
from central_dispatch.fleet.forms import WorkerForm, WorkerSettings
from central_dispatch.fleet.models import Worker
from central_dispatch.fleet.permissions import may
from central_dispatch.fleet.refusal import Refused
from central_dispatch.fleet.services import workers as services
from central_dispatch.portal.access import actor_of, requires
from central_dispatch.portal.pages.overview import with_counts
from central_dispatch.portal.pages.rendering import place_problems, raise_if_hidden, say, show, summary_of
from central_dispatch.portal.pages.workers.forms import DefaultsFields, TypedName, WorkerFields
from central_dispatch.portal.tls import dispatcher_pin
from central_dispatch.provisioning.protocol import SettingsView

#: Below a tenth of the disk the meter turns.
_LOW_SHARE = 10
_LOCAL = {"localhost", "127.0.0.1", "[::1]"}


def find(worker_id: str) -> Worker:
    """Return the worker or raise 404."""
    worker = queries.worker(worker_id)
    if worker is None:
        raise Http404
    return worker


@requires("fleet.view")
@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    """List the workers."""
    return show(request, "workers/list.html", "workers/_list.html", {"workers": with_counts(queries.workers())})


@requires("fleet.view")
@require_safe
def detail(request: HttpRequest, worker_id: str) -> HttpResponse:
    """Show what a host found on itself, its settings, and what the portal decides about it."""
    worker = find(worker_id)
    values = {
        "worker": worker,
        "facts": worker.facts,
        "host_settings": worker.host_settings,
        "host_rows": host_rows(worker.host_settings),
        "low_bytes": worker.facts.total_bytes // _LOW_SHARE,
        "instances": queries.instances(worker=worker.pk),
        "usable": may(actor_of(request), "instance.create", worker),
    }
    return show(request, "workers/detail.html", "workers/_detail.html", values)


def host_rows(view: SettingsView) -> list[tuple[str, str]]:
    """Return the host's own settings in the order of their page."""
    return [
        ("Install path", view.install_path),
        ("Vhost directory", view.vhost_directory),
        ("Vhost template", view.vhost_template),
        ("Certificate directory", view.certificate_directory),
        ("Archive directory", view.archive_directory),
        ("Web server’s user", view.web_server_user),
        ("Web server: test", view.web_server_test),
        ("Web server: reload", view.web_server_reload),
        ("Web server: restart", view.web_server_restart),
        ("HTTPS port", str(view.https_port)),
        ("Database access", view.database),
    ]


@requires("worker.create")
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Add a worker, and show its enrolment command."""
    if request.method != "POST":
        return render(request, "workers/new.html", {"form": WorkerFields()})
    form = WorkerFields(request.POST)
    form.is_valid()
    answer = services.create_worker(actor_of(request), WorkerForm(**form.cleaned_data), dispatcher_pin())
    if isinstance(answer, Refused):
        raise_if_hidden(answer)
        place_problems(form, answer.problems)
        return render(request, "workers/new.html", {"form": form, "summary": summary_of(form)}, status=422)
    return _token_page(request, answer)


@requires("worker.invite")
@require_POST
def invite(request: HttpRequest, worker_id: str) -> HttpResponse:
    """Make a new token; the one before stops working."""
    answer = services.invite(actor_of(request), worker_id, dispatcher_pin())
    if isinstance(answer, Refused):
        say(request, answer)
        return HttpResponseRedirect(reverse("worker", args=[worker_id]))
    return _token_page(request, answer)


def _token_page(request: HttpRequest, invitation: services.Invitation) -> HttpResponse:
    # In the answer to the form and nowhere else: a token in a session or an address would outlive its page.
    host = request.get_host()
    values = {
        "worker": invitation.worker,
        "token": invitation.token,
        "expires_at": invitation.expires_at,
        "command": f"central-dispatch worker host enroll --url {request.scheme}://{host}",
        "url_is_local": host.rsplit(":", 1)[0] in _LOCAL,
        "online": False,
    }
    response = render(request, "workers/token.html", values)
    response.headers["Cache-Control"] = "no-store"
    return response


@requires("worker.invite")
@require_safe
def waiting(request: HttpRequest, worker_id: str) -> HttpResponse:
    """Return the part of the enrolment page that waits for the host."""
    worker = find(worker_id)
    return render(request, "workers/_waiting.html", {"worker": worker, "online": worker.is_online(timezone.now())})


@requires("worker.edit")
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, worker_id: str) -> HttpResponse:
    """Change what the portal decides about a worker."""
    worker = find(worker_id)
    if request.method != "POST":
        form = DefaultsFields(initial=_initial(worker))
        return render(request, "workers/edit.html", {"form": form, "worker": worker})
    form = DefaultsFields(request.POST)
    if form.is_valid():
        values = dict(form.cleaned_data)
        users = tuple(int(key) for key in values.pop("allowed_users"))
        answer = services.update_worker(actor_of(request), worker_id, WorkerSettings(**values, allowed_user_ids=users))
        if not isinstance(answer, Refused):
            messages.success(request, "The defaults were saved.")
            return HttpResponseRedirect(reverse("worker", args=[worker_id]))
        raise_if_hidden(answer)
        place_problems(form, answer.problems)
    values = {"form": form, "worker": worker, "summary": summary_of(form)}
    return render(request, "workers/edit.html", values, status=422)


def _initial(worker: Worker) -> dict[str, object]:
    plain = ("default_hostname_pattern", "default_admin_email", "default_schedule")
    users = [str(user.pk) for user in worker.allowed_users.all()]
    return {**{name: getattr(worker, name) for name in plain}, "allowed_users": users}


@requires("worker.revoke")
@require_http_methods(["GET", "HEAD", "POST"])
def revoke(request: HttpRequest, worker_id: str) -> HttpResponse:
    """Take a worker's credential away, after its name was typed."""
    worker = find(worker_id)
    form = TypedName(worker.name, request.POST or None)
    if request.method == "POST":
        if request.POST.get("typed_name", "").strip() == worker.name:
            answer = services.revoke(actor_of(request), worker_id)
            if not isinstance(answer, Refused):
                messages.success(request, f"{worker.name} was revoked.")
                return HttpResponseRedirect(reverse("worker", args=[worker_id]))
            raise_if_hidden(answer)
            place_problems(form, answer.problems)
        else:
            form.is_valid()
            form.add_error("typed_name", f"Does not match. Type {worker.name} to confirm.")
    live = queries.instances(worker=worker.pk).count()
    values = {"worker": worker, "form": form, "live": live, "summary": summary_of(form)}
    return render(request, "workers/revoke.html", values, status=422 if form.errors else 200)


@requires("worker.accept")
@require_POST
def accept(request: HttpRequest, worker_id: str) -> HttpResponse:
    """Accept a host that raised an alert."""
    answer = services.accept_host(actor_of(request), worker_id)
    if isinstance(answer, Refused):
        say(request, answer)
    else:
        messages.success(request, f"{answer.name} gets orders again.")
    return HttpResponseRedirect(reverse("worker", args=[worker_id]))

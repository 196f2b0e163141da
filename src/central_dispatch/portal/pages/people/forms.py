"""Forms of accounts. They carry what was typed; the services judge it."""

from dataclasses import replace

from django import forms
from django.http import QueryDict

from central_dispatch.fleet import queries
from central_dispatch.fleet.actor import NO_LIMITS, NO_ROLE, Limits, Role
from central_dispatch.fleet.models import Instance, Worker
from central_dispatch.portal.accounts.models import User

_SAYS = {
    Role.ADMINISTRATOR: "everything: accounts, workers, settings, audit, and whatever is stuck",
    Role.OPERATOR: "creates, deploys, backs out and deletes instances; looks after jobs",
    Role.INSTANCE_UPGRADES: "plans and upgrades instances, nothing else",
    Role.INSTANCE_CACHE: "clears the caches of instances, nothing else",
    Role.LIBRARY_MANAGER: "looks after the media library",
    Role.WORKER_MANAGER: "jobs and queues with their settings",
    Role.VIEWER: "looks",
}


class RightsFields(forms.Form):
    """Roles and limits of an account."""

    roles = forms.MultipleChoiceField(
        required=False,
        label="Roles",
        widget=forms.CheckboxSelectMultiple,
        choices=[(role.word, f"{role.title}: {says}") for role, says in _SAYS.items()],
    )
    workers = forms.MultipleChoiceField(required=False, label="Workers", widget=forms.CheckboxSelectMultiple)
    instances = forms.CharField(
        required=False,
        label="Instances",
        help_text="Names, one a line. An instance on a worker ticked above need not be listed.",
        widget=forms.Textarea(attrs={"rows": "3", "autocapitalize": "none", "spellcheck": "false"}),
    )

    def __init__(self, data: QueryDict | None = None, *, person: User | None = None) -> None:
        super().__init__(data, initial=_initial(person) if person else {"roles": [Role.VIEWER.word]})
        self._before = person.limits if person else NO_LIMITS
        # A limit that were not offered would be lost with the next change; without any, everything is open.
        offered = [
            one for one in queries.workers(revoked=True) if not _is_revoked(one) or one.pk in self._before.workers
        ]
        choices = [(one.pk, f"{one.name} (revoked)" if _is_revoked(one) else one.name) for one in offered]
        self.fields["workers"].choices = choices  # type: ignore[attr-defined] # a MultipleChoiceField

    def clean_instances(self) -> list[str]:
        """Return the ids of the named instances."""
        names = self.cleaned_data["instances"].split()
        kept = Instance.objects.filter(name__in=names, pk__in=self._before.instances)
        found = dict(kept.values_list("name", "pk"))  # deleted ones, too
        found |= dict(queries.instances().filter(name__in=names).values_list("name", "pk"))
        if missing := [name for name in names if name not in found]:
            raise forms.ValidationError(f"There is no instance {', '.join(missing)}.")
        return list(found.values())

    def chosen_roles(self) -> Role:
        """Return the roles; call after `is_valid`."""
        return Role.named(self.cleaned_data["roles"]) or NO_ROLE

    def chosen_limits(self) -> Limits:
        """Return the limits; call after `is_valid`."""
        given = self.cleaned_data
        chosen = {name: frozenset(given[name]) for name in ("workers", "instances")}
        return replace(self._before, **chosen)


class NewPersonFields(RightsFields):
    """A new account."""

    username = forms.CharField(
        required=False,
        label="User name",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )
    field_order = ("username",)


def _is_revoked(worker: Worker) -> bool:
    return bool(worker.state == Worker.State.REVOKED)


def _initial(person: User) -> dict[str, object]:
    named = Instance.objects.filter(pk__in=person.limits.instances).order_by("name").values_list("name", flat=True)
    return {
        "roles": list(person.roles.words),
        "workers": sorted(person.limits.workers),
        "instances": "\n".join(named),
    }

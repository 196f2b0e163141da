"""The form of an assignment. It carries what was typed; the service judges it."""

from django import forms
from django.http import QueryDict

from central_dispatch.jobs.kinds import KINDS
from central_dispatch.worker_manager.models import Assignment


class AssignmentFields(forms.Form):
    """What the queue workers of a name serve, and how many jobs at once."""

    name = forms.CharField(
        required=False,
        label="Name",
        help_text="A worker follows it by: central-dispatch worker execute --assignment NAME",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )
    slots = forms.IntegerField(
        label="Jobs at once",
        initial=1,
        widget=forms.TextInput(attrs={"autocomplete": "off", "inputmode": "numeric"}),
    )
    host = forms.CharField(
        required=False,
        label="Machine",
        help_text="Where it is meant to run, for those who read it. Empty: anywhere.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )
    queues = forms.MultipleChoiceField(required=False, label="Queues", widget=forms.CheckboxSelectMultiple)

    def __init__(self, data: QueryDict | None = None, *, of: Assignment | None = None) -> None:
        initial = {"name": of.name, "slots": of.slots, "host": of.host, "queues": of.queues} if of else None
        super().__init__(data, initial=initial)
        names = sorted({*KINDS, *(of.queues if of else ())})
        self.fields["queues"].choices = [(name, name) for name in names]  # type: ignore[attr-defined] # a MultipleChoiceField
        if of is not None:
            self.fields["name"].disabled = True

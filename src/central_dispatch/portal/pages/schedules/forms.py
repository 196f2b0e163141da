"""The form of a schedule. It carries what was typed; the service judges it."""

import json
from typing import Any

from django import forms
from django.http import QueryDict

from central_dispatch.jobs.job import HIGHEST, LOWEST, NORMAL
from central_dispatch.jobs.kinds import KINDS
from central_dispatch.jobs.masking import MASK, shown_payload
from central_dispatch.worker_manager.models import Schedule

_CODE = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}


class ScheduleFields(forms.Form):
    """A named schedule."""

    name = forms.CharField(
        required=False, label="Name", help_text="Letters, digits, dots, dashes.", widget=forms.TextInput(attrs=_CODE)
    )
    queue = forms.ChoiceField(required=False, label="Queue", help_text="A job of this kind is made each time.")
    expression = forms.CharField(
        required=False,
        label="When",
        help_text="Five cron fields: minute, hour, day of the month, month, day of the week. 30 2 * * 1-5 is at half "
        "past two on working days.",
        widget=forms.TextInput(attrs={**_CODE, "class": "mono"}),
    )
    zone = forms.CharField(
        required=False,
        label="Time zone",
        initial="UTC",
        help_text="Such as Europe/Paris; its summer time counts.",
        widget=forms.TextInput(attrs=_CODE),
    )
    payload = forms.CharField(
        required=False,
        label="Payload",
        initial="{}",
        help_text="JSON that each job gets.",
        widget=forms.Textarea(attrs={**_CODE, "class": "mono", "rows": 5}),
    )
    priority = forms.IntegerField(
        label="Priority",
        initial=NORMAL,
        help_text=f"{LOWEST} to {HIGHEST}; {HIGHEST} is first.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "inputmode": "numeric"}),
    )

    def __init__(self, data: QueryDict | None = None, *, of: Schedule | None = None) -> None:
        self._before: dict[str, Any] = dict(of.payload) if of else {}
        self._queue = of.queue if of else ""
        super().__init__(data, initial=self._initial(of) if of else None)
        self.fields["queue"].choices = [(name, name) for name in sorted({*KINDS, *filter(None, [self._queue])})]  # type: ignore[attr-defined] # a ChoiceField
        if of is not None:
            self.fields["name"].disabled = True

    def _initial(self, of: Schedule) -> dict[str, Any]:
        plain = ("name", "queue", "expression", "zone", "priority")
        shown = json.dumps(shown_payload(of.queue, self._before), ensure_ascii=False, indent=2)
        return {**{name: getattr(of, name) for name in plain}, "payload": shown}

    def clean_payload(self) -> dict[str, Any]:
        """Read the JSON. A secret that was shown hidden and left as it is stays what it was."""
        text = self.cleaned_data["payload"].strip() or "{}"
        try:
            value = json.loads(text)
        except ValueError as error:
            raise forms.ValidationError(f"This is no JSON: {error}.") from None
        if not isinstance(value, dict):
            raise forms.ValidationError("Use a JSON object, such as {}.")
        kept: dict[str, Any] = _kept(value, shown_payload(self._queue, self._before), self._before)
        return kept


def _kept(value: Any, shown: Any, before: Any) -> Any:  # noqa: ANN401 JSON
    """Return a value with each text that was shown with something hidden, and left as it was, as it was before."""
    if isinstance(value, str) and MASK in value:
        if value != shown:
            raise forms.ValidationError(
                f"{MASK} stands for a secret that is hidden. Write the whole value, or leave it as it was shown."
            )
        return before
    if isinstance(value, dict):
        old = (shown, before) if isinstance(shown, dict) and isinstance(before, dict) else ({}, {})
        return {key: _kept(one, *(side.get(key) for side in old)) for key, one in value.items()}
    if isinstance(value, list):
        same = isinstance(shown, list) and len(shown) == len(value)
        old_ones = zip(shown, before, strict=True) if same else [(None, None)] * len(value)
        return [_kept(one, *old_one) for one, old_one in zip(value, old_ones, strict=True)]
    return value

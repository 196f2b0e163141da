"""The form of a queue's settings: one field for each, with its unit and what it is without a change."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from django import forms
from django.http import QueryDict

from central_dispatch.jobs.queue_settings import QueueSettings


@dataclass(frozen=True, slots=True)
class Setting:
    """How a setting is asked for."""

    label: str
    unit: str = ""
    says: str = ""
    form: Literal["whole", "number", "choice", "switch"] = "number"
    empty: str = ""  # what an empty field means; "": it may not be empty
    group: str = "Failing and trying again"


_BEGIN = "Beginning and ending"
_KEEP = "Keeping"
SETTINGS: Mapping[str, Setting] = {
    "max_attempts": Setting("Maximum number of attempts", "attempts", "The first execution counts as one.", "whole"),
    "retry_delay_s": Setting("Time between attempts", "seconds", "With exponential growth: before the second one."),
    "backoff": Setting("Growth of that time", "", "Exponential: doubled each time, half of it by chance.", "choice"),
    "max_retry_delay_s": Setting("Longest time between attempts", "seconds"),
    "deferral_delay_s": Setting(
        "Time before a deferred message comes back", "seconds", "For jobs that found something locked, for example."
    ),
    "max_deferrals": Setting("Deferrals in a row", "deferrals", "After so many the job is in error.", "whole"),
    "period_s": Setting("Period", "seconds", "A job is made by itself each time.", empty="none", group=_BEGIN),
    "time_limit_s": Setting("Time limit", "seconds", "An execution that takes longer is ended.", group=_BEGIN),
    "grace_s": Setting("Grace time", "seconds", "Between asking a job to stop and ending it.", group=_BEGIN),
    "concurrency": Setting("Most jobs at once", "jobs", "Over all workers.", "whole", empty="no limit", group=_BEGIN),
    "paused": Setting("Paused", "", "Jobs that run go on, no other one begins.", "switch", group=_BEGIN),
    "retention_h": Setting("Dead letters are kept for", "hours", group=_KEEP),
}
_CHOICES = {"backoff": (("fixed", "fixed"), ("exponential", "exponential"))}


def setting_of(name: str) -> Setting:
    """Return how a setting is asked for; one that has no row here yet gets a plain number field."""
    return SETTINGS.get(name, Setting(name.replace("_", " ").capitalize(), empty="none", group=_BEGIN))


def written(value: object) -> str:
    """Return a value as it stands in a field: 10 and not 10.0."""
    if isinstance(value, float):
        return f"{value:.10g}"
    return "" if value is None else str(value)


def words(name: str, value: object) -> str:
    """Return a value for reading, with its unit."""
    setting = setting_of(name)
    if value is None:
        return setting.empty or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{written(value)} {setting.unit if setting.form == 'number' else ''}".strip()


class SettingsForm(forms.Form):
    """All settings of a queue. Beside each field the value that was shown travels along, to tell what was changed."""

    def __init__(self, now: QueueSettings, defaults: QueueSettings, data: QueryDict | None = None) -> None:
        super().__init__(data)
        self._now = now
        for field in fields(QueueSettings):
            value, default = getattr(now, field.name), getattr(defaults, field.name)
            self.fields[field.name] = _field(field.name, value, default)
            self.fields[f"seen-{field.name}"] = forms.CharField(
                required=False, initial=written(value), widget=forms.HiddenInput
            )

    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        """Return the fields by group."""
        names = [field.name for field in fields(QueueSettings)]
        groups = dict.fromkeys(setting_of(name).group for name in names)
        return [(group, [self[name] for name in names if setting_of(name).group == group]) for group in groups]

    def seen_fields(self) -> list[forms.BoundField]:
        """Return the hidden fields."""
        return [self[name] for name in self.fields if name.startswith("seen-")]

    def take_as_seen(self, now: QueueSettings) -> None:
        """Let what was shown be what is now: saving again is then a decision about it.

        What was typed stays; what was left alone follows what others made of it.
        """
        wished, _ = self.changes()
        data = QueryDict(mutable=True)
        data.update(self.data)
        for field in fields(QueueSettings):
            value = getattr(now, field.name)
            data[f"seen-{field.name}"] = written(value)
            if field.name in wished:
                continue
            if value is False:
                data.pop(field.name, None)
            else:
                data[field.name] = "on" if value is True else written(value)
        self.data = data

    def changes(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what was changed, and what was seen of it. The form must be valid."""
        wished, seen = {}, {}
        for field in fields(QueueSettings):
            before = self._read(field.name, self.cleaned_data[f"seen-{field.name}"])
            value = self.cleaned_data[field.name]
            if value != before:
                wished[field.name], seen[field.name] = value, before
        return wished, seen

    def clean(self) -> dict[str, Any]:
        """Check what was typed as the queue will: bounds, for all fields at once."""
        cleaned: dict[str, Any] = super().clean() or {}
        whole = {**asdict(self._now), **{name: cleaned[name] for name in asdict(self._now) if name in cleaned}}
        if not self.errors:
            for name, allowed in QueueSettings(**whole).problems():
                self.add_error(name, allowed[:1].upper() + allowed[1:] + ".")
        return cleaned

    def _read(self, name: str, text: str) -> Any:  # noqa: ANN401 whatever the setting is
        setting = setting_of(name)
        if setting.form == "switch":
            return text == "True"
        if setting.form == "choice":
            return text
        if text == "":
            return None
        try:
            return int(text) if setting.form == "whole" else float(text)
        except ValueError:  # it was tampered with: then it counts as changed by somebody
            return None


def _field(name: str, value: object, default: object) -> forms.Field:
    setting = setting_of(name)
    hint = " ".join(filter(None, [setting.says, f"Default: {words(name, default)}."]))
    if setting.form == "switch":
        return forms.BooleanField(required=False, label=setting.label, help_text=hint, initial=value)
    if setting.form == "choice":
        return forms.ChoiceField(label=setting.label, help_text=hint, initial=value, choices=_CHOICES[name])
    label = f"{setting.label}, in {setting.unit}" if setting.form == "number" and setting.unit else setting.label
    attributes = {"autocomplete": "off", "inputmode": "numeric" if setting.form == "whole" else "decimal"}
    if setting.empty:
        hint = f"{hint} Empty: {setting.empty}."
    made: type[forms.IntegerField | forms.FloatField]
    made = forms.IntegerField if setting.form == "whole" else forms.FloatField
    return made(
        label=label,
        help_text=hint,
        initial=written(value),
        required=not setting.empty,
        widget=forms.TextInput(attrs=attributes),
    )

"""The templates' own tags and filters, built into every template (`settings.TEMPLATES`)."""

from datetime import datetime, timedelta
from typing import Any

from django import forms, template
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from central_dispatch.fleet import permissions
from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.models import Worker
from central_dispatch.portal.pages.browsers import browser_words
from central_dispatch.portal.pages.durations import distance_words, duration_words, plain_duration, size_words
from central_dispatch.portal.pages.instances.forms import InstanceFields
from central_dispatch.portal.pages.releases import newest_first
from central_dispatch.portal.pages.signs import draw
from central_dispatch.portal.pages.states import look_of
from central_dispatch.provisioning.problem import Problem

register = template.Library()


@register.simple_tag
def sign(name: str) -> SafeString:
    """Draw a sign."""
    return draw(name)


@register.simple_tag
def state(kind: str, value: str, style: str = "state") -> SafeString:
    """Show a state by sign and word. `style` is `state` (in a line) or `badge` (beside a title)."""
    look = look_of(kind, value)
    return format_html('<span class="{} {}">{}{}</span>', style, look.tone, draw(look.sign), look.word)


@register.simple_tag
def step_sign(value: str) -> SafeString:
    """Show a step's state by its sign; the word for those who do not see it."""
    return _sign_alone("step", value)


@register.simple_tag
def outcome_sign(value: str) -> SafeString:
    """Show how an execution ended by its sign."""
    return _sign_alone("outcome", value)


@register.simple_tag
def outcome_word(value: str) -> str:
    """Show how an execution ended by its word."""
    word = look_of("outcome", value).word
    return word[:1].upper() + word[1:]


def _sign_alone(kind: str, value: str) -> SafeString:
    look = look_of(kind, value)
    return format_html(
        '<span class="mark {}" title="{}" role="img" aria-label="{}">{}</span>',
        look.tone,
        look.word,
        look.word,
        draw(look.sign),
    )


def worker_state(worker: Worker, now: datetime) -> str:
    """Return the key of `states.WORKER` for a worker."""
    if worker.state == Worker.State.ENROLLED:
        return "online" if worker.is_online(now) else "away"
    return str(worker.state)


@register.simple_tag
def presence(worker: Worker, style: str = "state") -> SafeString:
    """Show whether a worker is online."""
    return state("worker", worker_state(worker, timezone.now()), style)


@register.simple_tag
def when(moment: datetime | None, otherwise: str = "never") -> SafeString | str:
    """Show a time as a distance from now; the exact time is in its title. `live.js` keeps it true."""
    if moment is None:
        return otherwise
    exact = moment.isoformat(timespec="seconds")
    return format_html(
        '<time datetime="{}" title="{}" data-ago>{}</time>', exact, exact, distance_words(moment, timezone.now())
    )


@register.simple_tag
def took(started: datetime | None, ended: datetime | None, *, goes_on: bool = False) -> SafeString | str:
    """Show how long something took, or, while it goes on, for how long it has been under way (ticking)."""
    if started is None:
        return ""
    if ended is not None:
        return duration_words(ended - started)
    if not goes_on:
        return ""
    return format_html('<span data-since="{}">{}</span>', started.isoformat(), duration_words(timezone.now() - started))


@register.filter
def duration(length: timedelta | None) -> str:
    """Show a length of time."""
    return "" if length is None else duration_words(length)


@register.filter
def seconds(value: float) -> str:
    """Show a number of seconds: `10 s`, `5 min`, `1 h`."""
    return plain_duration(value)


@register.filter
def hours(value: float) -> str:
    """Show a number of hours, whole days as such: `36 h`, `4 d`."""
    days, rest = divmod(value, 24)
    return f"{days:g} d" if days > 1 and not rest else f"{value:g} h"


register.filter("newest_first", newest_first)
register.filter("browser_words", browser_words)


@register.filter
def may(actor: Actor | None, act: str) -> bool:
    """Say whether the page's reader may do it somewhere; buttons for one thing ask the queries."""
    return actor is not None and permissions.may(actor, act)


@register.filter
def thousands(value: int) -> str:
    """Show a whole number with its thousands apart: 1,234,567."""
    return f"{value:,}"


@register.filter
def size(value: int) -> str:
    """Show a number of bytes."""
    return size_words(value)


@register.filter
def added_lines(text: str) -> SafeString:
    """Show a file's text as lines that would be added."""
    return format_html_join("", '<span class="new">{}</span>', ((line or " ",) for line in text.splitlines()))


@register.filter
def as_json_lines(value: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Return an audit value's fields for a list."""
    return [(key, _text(item)) for key, item in (value or {}).items()]


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


@register.inclusion_tag("parts/problem.html")
def problem(value: Problem | None, head: str = "", tone: str = "", *, level: int = 2) -> dict[str, Any]:
    """Show a problem: what, why, and what to do."""
    name = value.field if value else ""
    known = InstanceFields.base_fields.get(name)
    label = known.label if known is not None else name
    return {"problem": value, "field_label": label, "head": head, "tone": tone, "level": level}


@register.inclusion_tag("parts/field.html")
def field(bound: forms.BoundField, file: forms.BoundField | None = None) -> dict[str, Any]:
    """Show a form field with its label, hint and errors; `file` is the upload that fills it."""
    described = [f"{bound.auto_id}-hint"] if bound.help_text else []
    described += [f"{bound.auto_id}-error"] if bound.errors else []
    attributes: dict[str, str | bool] = {"aria-describedby": " ".join(described)} if described else {}
    if bound.errors:
        attributes["aria-invalid"] = "true"
    is_choice = isinstance(bound.field.widget, forms.CheckboxInput)
    return {"field": bound, "file": file, "widget": bound.as_widget(attrs=attributes), "is_choice": is_choice}

"""The form of a managed instance. It carries what was typed and offers what the worker reported; services judge it."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.http import QueryDict
from django.utils.datastructures import MultiValueDict

from central_dispatch.fleet.forms import InstanceForm
from central_dispatch.fleet.models import Instance, Worker
from central_dispatch.portal.pages.releases import newest_first
from central_dispatch.provisioning.protocol import SourceView

#: The largest certificate file that is read, in bytes.
FILE_LIMIT = 262_144
_PLAIN = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
_PEM = {**_PLAIN, "class": "pem", "rows": "6", "placeholder": "-----BEGIN CERTIFICATE-----"}
_SECRET = {**_PLAIN, "class": "pem", "rows": "4", "placeholder": "-----BEGIN PRIVATE KEY-----"}


class SecretTextarea(forms.Textarea):
    """A text field whose value never goes back into a page."""

    def format_value(self, _value: object) -> None:
        """Leave the value out."""


class InstanceFields(forms.Form):
    """An instance as typed. What is no longer on offer is refused by the services, in words that say so."""

    name = forms.CharField(
        required=False,
        label="Name",
        help_text="Lower-case letters, digits and hyphens. The names below follow from it.",
        widget=forms.TextInput(attrs=_PLAIN),
    )
    worker = forms.CharField(required=False, label="Worker", widget=forms.Select)
    source = forms.CharField(required=False, label="Source", widget=forms.Select)
    release = forms.CharField(required=False, label="Release", widget=forms.Select)
    hostnames = forms.CharField(
        required=False,
        label="Hostnames",
        help_text="One a line; the first one is the main one.",
        widget=forms.Textarea(attrs={**_PLAIN, "rows": "2"}),
    )
    admin_email = forms.CharField(
        required=False, label="Administrator e-mail", widget=forms.EmailInput(attrs={"autocomplete": "off"})
    )
    web_root = forms.CharField(
        required=False,
        label="Web root",
        help_text="One directory below the worker’s install path.",
        widget=forms.TextInput(attrs=_PLAIN),
    )
    database = forms.CharField(required=False, label="Database", widget=forms.TextInput(attrs=_PLAIN))
    database_user = forms.CharField(required=False, label="Database user", widget=forms.TextInput(attrs=_PLAIN))
    schedule = forms.BooleanField(
        required=False,
        label="Switch the scheduled task on",
        help_text="For a source that has one: a crontab line of the instance’s own user, after the health check.",
    )
    own_certificate = forms.CharField(
        required=False,
        label="Certificate",
        widget=forms.RadioSelect(choices=[("", "The worker’s default certificate"), ("1", "An own certificate")]),
    )
    certificate = forms.CharField(
        required=False, label="Certificate (PEM)", widget=forms.Textarea(attrs=_PEM), strip=False
    )
    key = forms.CharField(
        required=False,
        label="Private key (PEM, without a passphrase)",
        help_text="Sealed to the host as it is saved, and never shown again.",
        widget=SecretTextarea(attrs=_SECRET),
        strip=False,
    )
    chain = forms.CharField(
        required=False,
        label="Chain (PEM, intermediates in order)",
        help_text="Empty if the certificate needs none.",
        widget=forms.Textarea(attrs=_PEM),
        strip=False,
    )
    certificate_file = forms.FileField(required=False)
    key_file = forms.FileField(required=False)
    chain_file = forms.FileField(required=False)

    def __init__(
        self,
        address: str,
        workers: list[Worker],
        chosen: Worker | None,
        *,
        data: QueryDict | None = None,
        files: MultiValueDict[str, Any] | None = None,
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, files, initial=initial)
        again = {"hx-post": address, "hx-vals": '{"refresh": "1"}', "hx-trigger": "change"}
        source = next((one for one in usable_sources(chosen) if one.name == self["source"].value()), None)
        offers = {
            "worker": [(worker.pk, worker.name) for worker in workers],
            "source": [(one.name, f"{one.title or one.name}") for one in usable_sources(chosen)],
            "release": [(name, name) for name in newest_first(source.releases)] if source else [],
        }
        for name, choices in offers.items():
            widget = forms.Select(choices=choices or [("", "none")], attrs={} if name == "release" else again)
            self.fields[name].widget = widget

    def typed(self) -> InstanceForm:
        """Return what the services take. The form was validated, which refuses nothing but files that are too big."""
        values = self.cleaned_data
        pem = {name: _uploaded(values, name) for name in ("certificate", "key", "chain")}
        plain = ("worker", "name", "source", "release", "web_root", "database", "database_user", "admin_email")
        return InstanceForm(
            **{name: values.get(name, "") for name in plain},
            hostnames=tuple(re.split(r"[\s,]+", values["hostnames"].strip())) if values["hostnames"].strip() else (),
            schedule=values["schedule"],
            own_certificate=values["own_certificate"] == "1",
            **pem,
        )


def _uploaded(values: Mapping[str, Any], name: str) -> str:
    """Return a PEM text from its file, or as it was pasted. Bytes that are no text make it one that does not parse."""
    file = values.get(f"{name}_file")
    if file is None or file.size > FILE_LIMIT:
        return str(values.get(name, ""))
    return str(file.read().decode("utf-8", "replace"))


def usable_sources(worker: Worker | None) -> list[SourceView]:
    """Return the sources that a worker offers and that can be picked."""
    return [one for one in worker.host_settings.sources if not one.problem] if worker else []


def first_choices(values: dict[str, Any], worker: Worker | None) -> dict[str, Any]:
    """Return the values with source, release and defaults chosen where they fit the worker no longer, or not yet."""
    sources = {one.name: one for one in usable_sources(worker)}
    source = values.get("source") if values.get("source") in sources else next(iter(sources), "")
    releases = newest_first(sources[source].releases) if source else []
    release = values.get("release") if values.get("release") in releases else next(iter(releases), "")
    return {**values, "worker": worker.pk if worker else "", "source": source, "release": release}


def host_of(worker: Worker | None) -> str:
    """Return the host that a default hostname ends with."""
    return urlsplit(worker.host_url).hostname or "" if worker else ""


def values_of(instance: Instance) -> dict[str, Any]:
    """Return an instance as its form shows it; the stored certificate stays where it is."""
    plain = ("name", "source", "release", "web_root", "database", "database_user", "admin_email", "schedule")
    return {
        **{name: getattr(instance, name) for name in plain},
        "worker": instance.worker_id,
        "hostnames": "\n".join(instance.hostname_list),
        "own_certificate": "1" if instance.tls == Instance.Tls.OWN else "",
    }

"""Forms of workers. They carry what was typed; the services judge it."""

from django import forms
from django.http import QueryDict

from central_dispatch.portal.accounts.models import User


class WorkerFields(forms.Form):
    """A new worker, prefilled for one machine."""

    name = forms.CharField(
        required=False,
        label="Worker name",
        initial="localhost",
        help_text="As it is shown here.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    host_url = forms.CharField(
        required=False,
        label="Host URL",
        initial="localhost",
        help_text="The base of default hostnames and links, such as https://web1.example.com. It is never called.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )
    install_path = forms.CharField(
        required=False,
        label="Install path",
        initial="/var/www",
        help_text="Where the instances’ web roots are made. The host’s own settings have the last word.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )


class DefaultsFields(forms.Form):
    """What the portal decides about a worker."""

    default_hostname_pattern = forms.CharField(
        required=False,
        label="Default hostname pattern",
        help_text="{name} is the instance’s name, {host} the host of the worker’s URL.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )
    default_admin_email = forms.CharField(
        required=False, label="Default administrator e-mail", widget=forms.EmailInput(attrs={"autocomplete": "off"})
    )
    default_schedule = forms.BooleanField(
        required=False,
        label="Switch the scheduled task on",
        help_text="For sources that have one: a crontab line of the instance’s own user.",
    )
    allowed_users = forms.MultipleChoiceField(
        required=False, label="Who may use it", widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, data: QueryDict | None = None, *, initial: dict[str, object] | None = None) -> None:
        super().__init__(data, initial=initial)
        people = User.objects.exclude(role_words="").filter(is_active=True).order_by("username")
        choices = [(str(user.pk), user.get_username()) for user in people if not user.actor("page", "").administers]
        self.fields["allowed_users"].choices = choices  # type: ignore[attr-defined] # a MultipleChoiceField


class TypedName(forms.Form):
    """The confirmation of what cannot be taken back."""

    typed_name = forms.CharField(
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )

    def __init__(self, name: str, data: QueryDict | None = None) -> None:
        super().__init__(data)
        self.fields["typed_name"].label = f"Type {name} to confirm"

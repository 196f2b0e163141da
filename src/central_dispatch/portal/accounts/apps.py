"""Makes the accounts a Django application."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Users and API tokens."""

    name = "central_dispatch.portal.accounts"
    label = "accounts"
    verbose_name = "Accounts"

"""From one role of a ladder to a set of roles, and from a token's role to the acts that it is for."""

from django.db import migrations, models

import central_dispatch.portal.accounts.models

_OPERATING = ["*.view", "account.own", "instance.*", "run.back_out", "job.*", "queue.pause", "queue.requeue"]
_SCOPES = {"viewer": ["*.view"], "operator": _OPERATING, "administrator": ["*"]}


def fill(apps, _schema_editor):
    """Each account keeps its role as the only one of its set; each token is for what its role could do."""
    user, token = apps.get_model("accounts", "User"), apps.get_model("accounts", "ApiToken")
    for role, scope in _SCOPES.items():
        user.objects.filter(old_role=role).update(role_words=role)
        token.objects.filter(old_role=role).update(scope=scope)


def unfill(_apps, _schema_editor):
    """The old column was never taken away."""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [
        # The old columns stay as they are: a program of the release before still writes them.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameField("user", "role", "old_role"),
                migrations.AlterField(
                    "user",
                    "old_role",
                    models.CharField(db_column="role", default="viewer", editable=False, max_length=20),
                ),
                migrations.RenameField("apitoken", "role", "old_role"),
                migrations.AlterField(
                    "apitoken",
                    "old_role",
                    models.CharField(db_column="role", default="viewer", editable=False, max_length=20),
                ),
            ]
        ),
        migrations.AddField(
            "user", "role_words", models.CharField(blank=True, db_default="", default="", max_length=200)
        ),
        migrations.AddField(
            "user",
            "limits_json",
            models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict),
        ),
        migrations.AddField(
            "apitoken",
            "scope",
            models.JSONField(db_default=models.Value([], models.JSONField()), default=list),
        ),
        migrations.RunPython(fill, unfill),
        migrations.AlterModelManagers("user", [("objects", central_dispatch.portal.accounts.models.People())]),
    ]

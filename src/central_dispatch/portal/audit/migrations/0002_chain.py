"""Chains the entries: those that are there are sealed in their order."""

from django.db import migrations, models

from central_dispatch.portal.audit.chain import BEGINNING, link


def seal(apps, _schema_editor):
    """Seal what is there already. What happened to it before, nobody can tell."""
    entries, heads = apps.get_model("audit", "AuditEntry"), apps.get_model("audit", "AuditHead")
    last = BEGINNING
    for entry in entries.objects.order_by("id").iterator(chunk_size=2000):
        last = link(last, entry.at, vars(entry))
        entries.objects.filter(pk=entry.pk).update(seal=last)
    heads.objects.create(pk=1, seal=last)


def unseal(_apps, _schema_editor):
    """The columns go, and the seals with them."""


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [
        migrations.AddField(
            "auditentry", "seal", models.CharField(db_default="", default="", editable=False, max_length=64)
        ),
        migrations.CreateModel(
            name="AuditHead",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("seal", models.CharField(max_length=64)),
            ],
        ),
        migrations.RunPython(seal, unseal),
    ]

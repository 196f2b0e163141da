"""Users with one role each, and the hashed tokens by which programs act for them."""

from datetime import datetime

from django.contrib.auth.models import AbstractUser
from django.db import models

from central_dispatch.fleet.actor import Role

ROLES = [(role.value, role.value) for role in Role]


class User(AbstractUser):
    """A person. `role` decides what they may do; Django's own permission tables are not used."""

    role = models.CharField(max_length=20, choices=ROLES, default=Role.VIEWER.value)

    def as_role(self) -> Role:
        """Return the role as its type."""
        return Role(self.role)


class ApiToken(models.Model):
    """A bearer token of the public API. It may never do more than its owner may at the moment of the call."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    token_hash = models.CharField(max_length=64, unique=True)
    role = models.CharField(max_length=20, choices=ROLES)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return self.name

    def is_valid(self, now: datetime) -> bool:
        """Say whether the token opens anything at this time."""
        return self.revoked_at is None and now < self.expires_at and self.user.is_active

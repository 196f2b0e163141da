"""People with their roles and limits, and the hashed tokens by which programs act for them."""

from datetime import datetime
from typing import Literal

from django.contrib.auth.models import AbstractUser, UserManager
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.utils import timezone

from central_dispatch.fleet.actor import Actor, Limits, Role

LIMITED = ("workers", "instances", "databoxes")


class People(UserManager["User"]):
    """Accounts; `create_user(..., roles=Role.OPERATOR)` takes roles by their type."""

    def create_user(  # type: ignore[override] # the roles come as their type, and nothing else is of use
        self, username: str, email: str | None = None, password: str | None = None, *, roles: Role
    ) -> "User":
        """Make an account with these roles."""
        return super().create_user(username, email, password, role_words=" ".join(roles.words))

    def holding(self, role: Role) -> "models.QuerySet[User]":
        """Return the accounts that hold a role and may log in."""
        # No role's name is part of another's.
        return self.filter(role_words__contains=role.word, is_active=True)


class User(AbstractUser):
    """A person. Roles and limits decide what they may do; Django's own permission tables are not used."""

    #: The names of the roles, with spaces. Blank, as an older program would leave it: none.
    role_words = models.CharField(max_length=200, blank=True, db_default="", default="")
    #: {"workers": [id], "instances": [id], "databoxes": [id]}: what acts are confined to (`fleet.actor.Limits`: no act
    #: asks for the databoxes yet). Without a list, nothing is.
    limits_json = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    #: An administrator made the password: the person changes it before anything else.
    password_is_passing = models.BooleanField(default=False, db_default=False, editable=False)
    #: A digest of the identity by which a provider vouches for the person; null: none is linked.
    vouched_as = models.CharField(max_length=64, unique=True, null=True, editable=False)  # noqa: DJ001 unique where set
    #: The roles come from the provider at each login.
    roles_are_vouched = models.BooleanField(default=False, db_default=False, editable=False)
    #: The one role of the release before. Read by the migration alone; it goes with the next release.
    old_role = models.CharField(max_length=20, default="viewer", db_column="role", editable=False)

    objects = People()  # type: ignore[misc] # AbstractUser's own is of its own type

    @property
    def roles(self) -> Role:
        """The roles. A name that this release does not know gives nothing."""
        known = [word for word in self.role_words.split() if word.upper() in Role.__members__]
        return Role.named(known)

    @roles.setter
    def roles(self, roles: Role) -> None:
        self.role_words = " ".join(roles.words)

    @property
    def limits(self) -> Limits:
        """What the person's acts are confined to."""
        return Limits(**{kind: frozenset(map(str, self.limits_json.get(kind, ()))) for kind in LIMITED})

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self.limits_json = {kind: sorted(getattr(limits, kind)) for kind in LIMITED if getattr(limits, kind)}

    def actor(self, via: Literal["page", "api", "cli"], address: str, scope: tuple[str, ...] | None = None) -> Actor:
        """Return the person as a service's caller."""
        return Actor(self.username, self.roles, self.pk, via, address, self.limits, scope)


class LoginSession(AbstractBaseSession):
    """One browser that is logged in, or about to. Who removes the row ends the session."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="login_sessions")
    came_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(auto_now=True)  # written at most every few minutes
    address = models.CharField(max_length=64, blank=True)
    agent = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ("-seen_at",)

    def __str__(self) -> str:
        return f"session of {self.user_id}"


class SecondFactor(models.Model):
    """The secret that a person's authenticator app shares with us, sealed."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="second_factor")
    sealed_secret = models.CharField(max_length=300)
    created_at = models.DateTimeField(default=timezone.now)
    confirmed_at = models.DateTimeField(null=True)  # null: being set up, does not count yet
    last_step = models.BigIntegerField(default=0)  # of the last right code: none counts twice
    failures = models.PositiveIntegerField(default=0)  # wrong codes in a row
    failed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"second factor of {self.user_id}"


class RecoveryCode(models.Model):
    """A code that stands in for the app once; only its hash is kept."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="recovery_codes")
    code_hash = models.CharField(max_length=64, unique=True)
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"recovery code of {self.user_id}"


class ApiToken(models.Model):
    """A bearer token of the public API. It may never do more than its owner may at the moment of the call."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    token_hash = models.CharField(max_length=64, unique=True)
    #: Patterns of acts, such as `fleet.view`, `job.*` or `*`. What an older program leaves empty opens nothing.
    scope = models.JSONField(default=list, db_default=models.Value([], models.JSONField()))
    #: The one role of the release before; it goes with the next release.
    old_role = models.CharField(max_length=20, default="viewer", db_column="role", editable=False)
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

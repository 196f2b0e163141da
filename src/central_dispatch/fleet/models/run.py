"""Runs, as far as their host has reported them. A run's truth is the host's journal."""

from datetime import timedelta

from django.db import models

from central_dispatch.fleet.ids import new_id
from central_dispatch.fleet.models.instance import Instance
from central_dispatch.fleet.models.worker import Worker
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.protocol import ChangeView, Item

#: The most output that is kept of one step, in characters; the rest stays on the host.
OUTPUT_LIMIT = 65_536


class Run(models.Model):
    """One execution of a plan on one instance, or a look at it (plan, inventory)."""

    class Kind(models.TextChoices):
        """What the host is asked for. A *look* (plan, inventory) changes nothing."""

        PLAN = "plan", "plan"
        DEPLOY = "deploy", "deploy"
        DELETE = "delete", "delete"
        INVENTORY = "inventory", "inventory"
        CLEAR = "clear", "clear"

    class State(models.TextChoices):
        """Open states first, then endings."""

        REQUESTED = "requested", "requested"  # the host was not told yet
        CLAIMED = "claimed", "claimed"  # the host was told and has not begun
        RUNNING = "running", "running"
        BACKING_OUT = "backing_out", "backing out"
        FINISHING = "finishing", "finishing"  # committed: only forward from here
        STUCK = "stuck", "stuck"
        COMMITTED = "committed", "done"
        BACKED_OUT = "backed_out", "backed out"
        PLANNED = "planned", "planned"
        FOUND = "found", "found"
        REFUSED = "refused", "refused"
        WITHDRAWN = "withdrawn", "withdrawn"  # before the host began
        LOST = "lost", "lost"  # the host no longer has the journal

    class Wish(models.TextChoices):
        """What an administrator wants of the run."""

        NONE = "", ""
        BACK_OUT = "back_out", "back out"
        RETRY = "retry", "retry"
        ACKNOWLEDGE = "acknowledge", "acknowledge"

    id = models.CharField(primary_key=True, max_length=32, default=new_id, editable=False)
    instance = models.ForeignKey(Instance, on_delete=models.PROTECT, related_name="runs")
    worker = models.ForeignKey(Worker, on_delete=models.PROTECT, related_name="runs")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    state = models.CharField(max_length=12, choices=State.choices, default=State.REQUESTED, db_index=True)
    # One open run that changes, and one open look, per instance; null once it has ended.
    open_key = models.CharField(max_length=40, unique=True, null=True)  # noqa: DJ001 null means: ended
    spec = models.JSONField()  # InstanceSpec as it was asked for: an order sent again is the same order
    items = models.JSONField(default=list)  # for clear: the keys that were confirmed
    requested_by = models.CharField(max_length=150)
    wish = models.CharField(max_length=12, choices=Wish.choices, blank=True, default=Wish.NONE)
    wish_by = models.CharField(max_length=150, blank=True)
    wished_at = models.DateTimeField(null=True)
    wish_sent_at = models.DateTimeField(null=True)
    problem_json = models.JSONField(null=True)  # why it failed, turned round, or is stuck
    problems_json = models.JSONField(default=list)  # every problem that a plan or a refusal named
    waiting_json = models.JSONField(null=True)  # the server that it waits for
    found_items = models.JSONField(default=list)  # protocol.Item, as an inventory found them
    left = models.JSONField(default=list)  # foreign things that a back-out left alone
    created_at = models.DateTimeField(db_index=True)
    sent_at = models.DateTimeField(null=True)  # when the order was last sent
    claimed_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    committed_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    backed_out_by = models.CharField(max_length=150, blank=True)  # whose wish turned it round; blank: its own failure
    session = models.PositiveIntegerField(default=0)  # the host's session that last spoke of it
    through = models.PositiveIntegerField(default=0)  # every journal line up to this is stored

    class Meta:
        ordering = ("-created_at", "-id")

    def __str__(self) -> str:
        return f"{self.kind} {self.instance_id}"

    @property
    def is_open(self) -> bool:
        """The run has not ended."""
        return self.open_key is not None

    @property
    def is_look(self) -> bool:
        """The run changes nothing on the host."""
        return self.kind in {self.Kind.PLAN, self.Kind.INVENTORY}

    @property
    def problem(self) -> Problem | None:
        """Why the run failed, turned round, or is stuck."""
        return Problem.from_json(self.problem_json) if self.problem_json else None

    @property
    def problems(self) -> list[Problem]:
        """Every problem that a plan or a refusal named."""
        return [Problem.from_json(value) for value in self.problems_json]

    @property
    def waiting(self) -> Problem | None:
        """The server that the run waits for."""
        return Problem.from_json(self.waiting_json) if self.waiting_json else None

    @property
    def found(self) -> list[Item]:
        """What an inventory found on the host."""
        return [Item.model_validate(value) for value in self.found_items]

    @property
    def duration(self) -> timedelta | None:
        """How long it took, once it has ended."""
        return self.ended_at - self.started_at if self.started_at and self.ended_at else None


class RunStep(models.Model):
    """One step of a run's plan, as its page shows it."""

    class Part(models.TextChoices):
        """Up to the commit, or after it."""

        STEPS = "steps", "steps"
        TAIL = "tail", "tail"

    class State(models.TextChoices):
        """The states of `provisioning.journal.StepState`, and *stuck*."""

        UNTOUCHED = "untouched", "to do"
        OPEN = "open", "under way"
        DONE = "done", "done"
        FAILED = "failed", "failed"
        UNDOING = "undoing", "being undone"
        UNDONE = "undone", "undone"
        STUCK = "stuck", "stuck"
        ACKNOWLEDGED = "acknowledged", "acknowledged"

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps")
    part = models.CharField(max_length=5, choices=Part.choices)
    index = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=60)
    title = models.CharField(max_length=300)
    changes_json = models.JSONField(default=list)
    state = models.CharField(max_length=12, choices=State.choices, default=State.UNTOUCHED)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    problem_json = models.JSONField(null=True)
    output = models.TextField(blank=True)
    output_cut = models.BooleanField(default=False)
    left = models.CharField(max_length=500, blank=True)  # the foreign thing that its undo left alone

    class Meta:
        ordering = ("part", "index")  # "steps" sorts before "tail"
        constraints = (models.UniqueConstraint(fields=("run", "part", "index"), name="step_place"),)

    def __str__(self) -> str:
        return self.title

    @property
    def changes(self) -> list[ChangeView]:
        """What the step would change, or has changed."""
        return [ChangeView.model_validate(value) for value in self.changes_json]

    @property
    def problem(self) -> Problem | None:
        """Why the step failed or is stuck."""
        return Problem.from_json(self.problem_json) if self.problem_json else None

    @property
    def duration(self) -> timedelta | None:
        """How long doing it took."""
        return self.ended_at - self.started_at if self.started_at and self.ended_at else None


class RunEvent(models.Model):
    """A journal line as the host reported it; (run, sequence) is its key."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    sequence = models.PositiveIntegerField()
    at = models.DateTimeField()  # the host's clock
    kind = models.CharField(max_length=20)
    step = models.SmallIntegerField(default=-1)
    data = models.JSONField(default=dict)
    received_at = models.DateTimeField()

    class Meta:
        ordering = ("sequence",)
        constraints = (models.UniqueConstraint(fields=("run", "sequence"), name="run_event_key"),)

    def __str__(self) -> str:
        return f"{self.sequence} {self.kind}"

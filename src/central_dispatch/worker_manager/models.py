"""The job tables as pages and the API read them. Written by the store's SQL alone: nothing here is saved."""

from django.db import models


class Job(models.Model):
    """One job: the row is the truth."""

    class State(models.TextChoices):
        """Where a job stands."""

        WAITING = "waiting", "waiting"
        RUNNING = "running", "running"
        FINISHED = "finished", "finished"
        IN_ERROR = "in_error", "in error"
        INTERRUPTED = "interrupted", "interrupted"

    id = models.BigAutoField(primary_key=True)
    queue = models.TextField()
    state = models.TextField(choices=State.choices)
    waiting_for = models.TextField()  # new, retry, deferred
    priority = models.IntegerField()
    due_at = models.DateTimeField()
    waits_on = models.TextField(null=True)  # noqa: DJ001 null means: it waits for nobody's lock
    payload = models.JSONField()
    payload_version = models.IntegerField()
    #: The key that is held while the job waits or runs; `given_key` is what it was.
    unique_key = models.TextField(null=True)  # noqa: DJ001 null means: none is held
    given_key = models.TextField(null=True)  # noqa: DJ001 null means: none
    batch = models.BigIntegerField(null=True)
    batch_index = models.BigIntegerField(null=True)
    attempts = models.IntegerField()
    deferrals = models.IntegerField()
    fence = models.BigIntegerField()
    parent = models.TextField(null=True)  # noqa: DJ001 null means: it does not run
    interrupt_by = models.TextField()
    percent = models.FloatField(null=True)
    words = models.TextField()
    error = models.TextField()
    ended_by = models.TextField()
    result = models.JSONField()
    enqueued_by = models.TextField()
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "job"
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.queue} {self.pk}"

    @property
    def is_over(self) -> bool:
        """It neither waits nor runs."""
        return self.state not in {self.State.WAITING, self.State.RUNNING}


class Attempt(models.Model):
    """One execution that has ended."""

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(Job, models.DO_NOTHING, db_column="job", related_name="history", db_constraint=False)
    fence = models.BigIntegerField()
    parent = models.TextField()
    host = models.TextField()
    parent_pid = models.IntegerField()
    child_pid = models.IntegerField()  # 0: not known, as its parent died
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField()
    outcome = models.TextField()  # done, failed, deferred, crashed, stopped, released
    error = models.TextField()
    output_bytes = models.IntegerField()

    class Meta:
        managed = False
        db_table = "job_attempt"
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.job_id}, {self.outcome}"


class Tally(models.Model):
    """What ended in a minute (of the last days) or in an hour (before), by queue, outcome and parent."""

    pk = models.CompositePrimaryKey("minute", "queue", "outcome", "parent")
    minute = models.DateTimeField()
    queue = models.CharField(max_length=100)
    outcome = models.CharField(max_length=20)
    parent = models.CharField(max_length=32)
    executions = models.BigIntegerField()
    run_ms = models.BigIntegerField()

    class Meta:
        managed = False
        db_table = "job_tally"
        ordering = ("minute", "queue", "outcome", "parent")

    def __str__(self) -> str:
        return f"{self.minute} {self.queue} {self.outcome}"


class Parent(models.Model):
    """A queue worker that runs, or was not found dead yet."""

    id = models.TextField(primary_key=True)
    host = models.TextField()
    pid = models.IntegerField()
    queues = models.JSONField()
    slots = models.IntegerField()
    assignment = models.TextField()  # "": it was started with its queues named
    version = models.TextField()
    count = models.BigIntegerField()  # its beats
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "job_parent"
        ordering = ("host", "pid")

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


class Batch(models.Model):
    """What one message was split into."""

    id = models.BigAutoField(primary_key=True)
    job = models.BigIntegerField(null=True, unique=True)  # the one that splits it
    kind = models.TextField()  # its jobs' kind
    says = models.TextField()
    source = models.TextField()  # the checksum of what it is made from
    expected = models.BigIntegerField()
    total = models.BigIntegerField(null=True)  # null until all are made
    created_by = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "job_batch"
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.pk} {self.says}"


class Lock(models.Model):
    """A thing that a running execution has taken. It counts while its job runs under that fence."""

    pk = models.CompositePrimaryKey("resource", "job")
    resource = models.CharField(max_length=200)
    job = models.BigIntegerField()
    fence = models.BigIntegerField()
    shared = models.BooleanField()
    taken_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "job_lock"
        ordering = ("resource", "job")

    def __str__(self) -> str:
        return f"{self.resource} {self.job}"


class Wish(models.Model):
    """A place in line for a lock: who was refused it, and since when. It counts while its job waits for it."""

    pk = models.CompositePrimaryKey("resource", "job")
    resource = models.CharField(max_length=200)
    job = models.BigIntegerField()
    fence = models.BigIntegerField()
    shared = models.BooleanField()
    since = models.DateTimeField()
    asked_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "job_wish"
        ordering = ("resource", "since", "job")

    def __str__(self) -> str:
        return f"{self.resource} {self.job}"


class Schedule(models.Model):
    """A job by a cron expression."""

    name = models.CharField(primary_key=True, max_length=100)
    queue = models.TextField()
    expression = models.TextField()
    zone = models.TextField()
    payload = models.JSONField()
    payload_version = models.IntegerField()
    priority = models.IntegerField()
    is_on = models.BooleanField()
    next_run_at = models.DateTimeField(null=True)
    last_run_at = models.DateTimeField(null=True)
    last_job = models.BigIntegerField(null=True)

    class Meta:
        managed = False
        db_table = "job_schedule"
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Period(models.Model):
    """When a queue with a period ran last."""

    queue = models.CharField(primary_key=True, max_length=100)
    last_run_at = models.DateTimeField()
    last_job = models.BigIntegerField(null=True)

    class Meta:
        managed = False
        db_table = "job_period"
        ordering = ("queue",)

    def __str__(self) -> str:
        return self.queue


class Assignment(models.Model):
    """What a queue worker of that name does."""

    name = models.CharField(primary_key=True, max_length=100)
    queues = models.JSONField()  # empty: all
    slots = models.IntegerField()
    host = models.TextField()
    changed_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "job_assignment"
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

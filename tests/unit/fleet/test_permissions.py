from collections.abc import Callable
from pathlib import Path

from central_dispatch.fleet import queries
from central_dispatch.fleet.actor import NO_ROLE, Actor, Limits, Role
from central_dispatch.fleet.permissions import ACTS, EVERYBODY, acts_of, may
from central_dispatch.portal.accounts.models import User
from dispatchers.fleet import draft, enrolled


def test_what_is_not_in_the_table_is_nobodys() -> None:
    assert not may(Actor("x", EVERYBODY), "instance.explode")
    assert not any(may(Actor("x", NO_ROLE), act) for act in ACTS)


def test_an_administrator_may_every_act_and_only_the_view_acts_are_everybodys() -> None:
    assert all(may(Actor("x", Role.ADMINISTRATOR), act) for act in ACTS)
    for act, roles in ACTS.items():
        if roles == EVERYBODY:
            assert act.endswith(".view") or act == "account.own"


def test_several_roles_may_what_each_of_them_may() -> None:
    one, other = Role.INSTANCE_CACHE, Role.WORKER_MANAGER
    assert set(acts_of(one | other)) == set(acts_of(one)) | set(acts_of(other))
    assert "queue.purge" in acts_of(other)
    assert "queue.purge" not in acts_of(Role.OPERATOR)


def test_a_scope_takes_away_and_never_gives() -> None:
    token = Actor("x", Role.VIEWER, scope=("*",))
    assert may(token, "fleet.view")
    assert not may(token, "instance.deploy")
    assert not may(Actor("x", Role.ADMINISTRATOR, scope=("job.*",)), "queue.purge")
    assert not may(Actor("x", Role.ADMINISTRATOR, scope=()), "fleet.view")


def test_limits_confine_acts_to_the_instances_and_workers_that_they_name(administrator: Actor) -> None:
    worker, _ = enrolled(administrator, "web-1")
    other, _ = enrolled(administrator, "web-2")
    first, second, third = (
        draft(administrator, worker, "a"),
        draft(administrator, worker, "b"),
        draft(administrator, other, "c"),
    )
    by_instance = Actor("x", Role.OPERATOR, 7, limits=Limits(instances=frozenset({first.pk})))
    by_worker = Actor("x", Role.OPERATOR, 7, limits=Limits(workers=frozenset({worker.pk})))
    assert [may(by_instance, "instance.deploy", one) for one in (first, second, third)] == [True, False, False]
    assert [may(by_worker, "instance.deploy", one) for one in (first, second, third)] == [True, True, False]
    assert [may(by_instance, "fleet.view", one) for one in (first, third)] == [True, True]
    assert not may(by_instance, "instance.create", worker)
    assert list(queries.usable_workers(by_worker)) == [worker]
    assert not queries.usable_workers(by_instance).exists()
    assert may(Actor("x", Role.ADMINISTRATOR, limits=by_worker.limits), "instance.deploy", third)


def test_an_instance_is_not_moved_to_a_worker_by_who_may_only_act_on_the_instance(
    administrator: Actor, person: Callable[[Role], User]
) -> None:
    worker, _ = enrolled(administrator, "web-1")
    user = person(Role.OPERATOR)
    worker.allowed_users.set([user])
    foreign = Actor("x", Role.OPERATOR, user.pk + 1)
    assert not may(foreign, "instance.create", worker)
    assert may(user.actor("page", ""), "instance.create", worker)


def test_the_reference_shows_the_table_as_it_is() -> None:
    text = (Path(__file__).parents[3] / "docs" / "reference" / "rights.md").read_text()
    columns = (
        Role.OPERATOR,
        Role.INSTANCE_UPGRADES,
        Role.INSTANCE_CACHE,
        Role.LIBRARY_MANAGER,
        Role.WORKER_MANAGER,
        Role.VIEWER,
    )
    lines = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| `") and line.count("|") == 8]
    shown = {cells[0].strip(" `"): [bool(cell.strip()) for cell in cells[1:]] for cells in lines}
    assert shown == {act: [bool(role & roles) for role in columns] for act, roles in ACTS.items()}

from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.fleet.refusal import Refused
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.accounts.people import NewPassword, add_person, new_password, set_role
from central_dispatch.portal.audit.models import AuditEntry


def test_a_person_gets_a_generated_password_that_is_stored_nowhere(administrator: Actor) -> None:
    made = add_person(administrator, "ada", Role.OPERATOR)
    assert isinstance(made, NewPassword)
    assert made.user.check_password(made.password)
    assert made.password not in repr(made)
    assert all(made.password not in str(entry.__dict__) for entry in AuditEntry.objects.all())
    for name in ("ada", "ADA", "", "a b", "x" * 151):
        refused = add_person(administrator, name, Role.VIEWER)
        assert isinstance(refused, Refused), name
        assert refused.problems[0].field == "username"


def test_a_new_password_replaces_the_old_one(administrator: Actor) -> None:
    made = add_person(administrator, "ada", Role.OPERATOR)
    assert isinstance(made, NewPassword)
    fresh = new_password(administrator, "ada")
    assert isinstance(fresh, NewPassword)
    user = User.objects.get(username="ada")
    assert user.check_password(fresh.password)
    assert not user.check_password(made.password)
    assert isinstance(new_password(administrator, "nobody"), Refused)


def test_there_is_always_an_administrator(administrator: Actor) -> None:
    last = set_role(administrator, "administrator", Role.VIEWER)
    assert isinstance(last, Refused)
    assert last.problems[0].field == "role"
    add_person(administrator, "ada", Role.VIEWER)
    assert isinstance(set_role(administrator, "ada", Role.ADMINISTRATOR), User)
    assert isinstance(set_role(administrator, "administrator", Role.VIEWER), User)
    User.objects.filter(username="administrator").update(role=Role.ADMINISTRATOR.value, is_active=False)
    assert isinstance(set_role(administrator, "ada", Role.OPERATOR), Refused)


def test_only_administrators_look_after_accounts(administrator: Actor) -> None:
    add_person(administrator, "ada", Role.OPERATOR)
    operator = Actor("ada", Role.OPERATOR, 99)
    for answer in (
        add_person(operator, "eve", Role.ADMINISTRATOR),
        new_password(operator, "administrator"),
        set_role(operator, "ada", Role.ADMINISTRATOR),
    ):
        assert isinstance(answer, Refused)
        assert answer.kind == "forbidden"

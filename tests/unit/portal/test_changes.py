from datetime import timedelta

import pytest
from django.utils import timezone

from central_dispatch.fleet.models import Change
from central_dispatch.portal.accounts.models import LoginSession
from central_dispatch.portal.live.changes import KEPT, Watch, look, missed, prune

pytestmark = pytest.mark.usefixtures("database")


def add(*topics: str) -> list[int]:
    return [Change.objects.create(topic=topic, at=timezone.now()).pk for topic in topics]


def test_a_look_returns_what_came_after_in_order() -> None:
    assert look(None) == []
    first, second, third = add("a", "b", "a")
    assert look(None) == [(third, "a")]
    assert look(first) == [(second, "b"), (third, "a")]


def test_a_change_that_is_committed_after_a_later_one_is_told_once() -> None:
    watch = Watch()
    (first,) = add("a")
    Change.objects.create(pk=first + 2, topic="c", at=timezone.now())
    assert watch(first) == [(first + 2, "c")]
    assert watch(first + 2) == []
    Change.objects.create(pk=first + 1, topic="b", at=timezone.now())
    assert watch(first + 2) == [(first + 1, "b")]
    assert watch(first + 2) == []


def test_who_was_away_is_told_each_topic_once_and_all_of_them_if_nobody_knows() -> None:
    first, second, third = add("a", "b", "a")
    assert missed(first - 1, frozenset("a")) == [(third, "a")]
    assert missed(second, frozenset("b")) == []
    Change.objects.filter(pk__lte=second).delete()
    assert [topic for _, topic in missed(first - 1, frozenset("ab"))] == ["a", "b"]


def test_pruning_keeps_what_is_young_and_takes_any_number_of_what_is_old() -> None:
    now = timezone.now()
    old = [Change(topic="old", at=now - KEPT - timedelta(minutes=1)) for _ in range(1201)]
    Change.objects.bulk_create(old)
    add("young")
    for key, left in (("gone", -1), ("alive", 1)):
        LoginSession.objects.create(session_key=key, session_data="", expire_date=now + timedelta(hours=left))
    prune()
    assert list(Change.objects.values_list("topic", flat=True)) == ["young"]
    assert list(LoginSession.objects.values_list("session_key", flat=True)) == ["alive"]

"""The RabbitMQ broker on a real node: what happens to bells when something happens to RabbitMQ."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from central_dispatch.brokers.rabbitmq import checking, layout
from central_dispatch.brokers.rabbitmq.broker import RabbitBroker
from central_dispatch.brokers.rabbitmq.link import Place
from central_dispatch.brokers.rabbitmq.timing import Timing
from servers.amqp import PATIENCE_S, Heard, Stranger, letter
from servers.rabbitmq import Node, shared_node

QUICK = Timing(longest_retry_s=0.5, refused_s=1.0, answer_s=5.0)


@pytest.fixture
def node() -> Node:
    return shared_node()


@pytest.fixture
def place(node: Node) -> Place:
    return node.place(node.fresh_virtual_host())


@pytest.fixture
def stranger(place: Place) -> Stranger:
    return Stranger(place)


@pytest.fixture
def open_broker(place: Place) -> Iterator[Callable[..., RabbitBroker]]:
    opened: list[RabbitBroker] = []

    def make(timing: Timing = QUICK) -> RabbitBroker:
        opened.append(RabbitBroker(place, timing))
        return opened[-1]

    yield make
    for broker in opened:
        broker.close()


def eventually(look: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not look():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


# RabbitMQ falls, or its connections do.


def test_a_bell_that_is_rung_while_the_node_is_dead_is_heard_when_it_is_back(
    node: Node, open_broker: Callable[..., RabbitBroker], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "central_dispatch")
    heard, ringer = Heard(open_broker(), "ftp"), open_broker()
    ringer.ring(["ftp"])
    heard.next()
    node.kill()
    try:
        eventually(ringer.problem, "the fall is noticed")
        for _ in range(1000):
            ringer.ring(["ftp"])
        assert "is away" in ringer.problem()
        eventually(heard.broker.problem, "the listener notices, too")
        assert "\n" not in ringer.problem()
    finally:
        node.start()
    assert heard.next() == "ftp"
    eventually(lambda: not ringer.problem() and not heard.broker.problem(), "it is over")
    said = [record.getMessage() for record in caplog.records if "is away" in record.getMessage()]
    assert len([line for line in said if not line.startswith("over")]) == 2, said  # once by each process
    assert len([line for line in said if line.startswith("over")]) == 2, said


def test_a_broker_that_was_never_there_keeps_nobody_waiting_and_is_used_when_it_comes(node: Node, place: Place) -> None:
    node.kill()
    broker = RabbitBroker(place, QUICK)
    try:
        begun = time.monotonic()
        heard = Heard(broker, "ftp")
        broker.ring(["ftp"])
        broker.call(["ftp"])
        broker.bury([letter()])
        assert time.monotonic() - begun < PATIENCE_S / 2  # it returns: that is all
        eventually(broker.problem, "it says so")
    finally:
        node.start()
    try:
        assert heard.next() == "ftp"
        eventually(lambda: Stranger(place).depth("ftp_failed") == 1, "the copy comes, too")
    finally:
        broker.close()


def test_bells_go_on_after_all_connections_were_closed(node: Node, open_broker: Callable[..., RabbitBroker]) -> None:
    heard, ringer = Heard(open_broker(), "ftp"), open_broker()
    ringer.ring(["ftp"])
    heard.next()
    node.ctl("close_all_connections", "a test")
    ringer.ring(["ftp"])
    assert heard.next() == "ftp"
    heard.broker.call(["ftp"])
    assert heard.next() == "ftp"


def test_bells_go_on_after_a_channel_was_closed(open_broker: Callable[..., RabbitBroker]) -> None:
    """RabbitMQ closes a channel for a wrong acknowledgement, and (up to 4.2) when one takes too long."""
    heard, ringer = Heard(open_broker(), "ftp", looks=False), open_broker()
    ringer.ring(["ftp"])
    heard.next()
    consumer, loop = heard.broker._listener.consumers["ftp"], heard.broker._loop  # type: ignore[union-attr]
    assert consumer._held is not None
    channel = consumer._held.channel
    asyncio.run_coroutine_threadsafe(channel.basic_ack(999), loop._asyncio).result(PATIENCE_S)  # type: ignore[union-attr]
    assert heard.next() == "ftp", "the bell in hand comes again"
    heard.broker.looked("ftp")
    ringer.ring(["ftp"])
    assert heard.next() == "ftp"


def test_a_queue_that_is_deleted_under_us_is_made_again(
    stranger: Stranger, open_broker: Callable[..., RabbitBroker]
) -> None:
    heard, ringer = Heard(open_broker(), "ftp", "mail"), open_broker()
    ringer.ring(["ftp"])
    heard.next()
    stranger.delete("ftp")
    ringer.ring(["mail"])
    assert heard.next() == "mail", "the other queues do not notice"
    ringer.ring(["ftp"])
    assert heard.next() == "ftp"


def test_a_bell_for_a_queue_that_is_not_there_makes_it_and_waits_there(
    stranger: Stranger, open_broker: Callable[..., RabbitBroker]
) -> None:
    ringer = open_broker()
    ringer.ring(["ftp"])
    eventually(lambda: stranger.depth("ftp") == 1, "the first bell")
    stranger.delete("ftp")
    ringer.ring(["ftp"])
    eventually(lambda: stranger.depth("ftp") == 1, "what is returned as unroutable is sent again")
    assert Heard(open_broker(), "ftp").next() == "ftp"


def test_a_parent_that_looks_alive_and_hears_nothing_connects_anew(
    stranger: Stranger, open_broker: Callable[..., RabbitBroker], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, ringer = Heard(open_broker(replace(QUICK, watch_s=0.3)), "ftp"), open_broker()
    consumer = heard.broker._listener.consumers["ftp"]  # type: ignore[union-attr]
    ringer.ring(["ftp"])
    heard.next()
    real = consumer._on_message

    async def swallow(_message: object) -> None:
        """A fault of the client: the message is delivered, and nobody ever hears of it."""

    monkeypatch.setattr(consumer, "_on_message", swallow)
    stranger.delete("ftp")  # so that it consumes anew, with the fault
    eventually(lambda: stranger.depth("ftp") == 0, "it consumes again")
    ringer.ring(["ftp"])
    ringer.ring(["ftp"])
    eventually(lambda: stranger.depth("ftp") or ringer.ring(["ftp"]), "bells lie there, and none is brought")
    monkeypatch.setattr(consumer, "_on_message", real)
    assert heard.next() == "ftp"


def test_an_alarm_is_said_and_bells_go_on_when_it_is_over(node: Node, open_broker: Callable[..., RabbitBroker]) -> None:
    heard, ringer = Heard(open_broker(), "ftp"), open_broker()
    ringer.ring(["ftp"])
    heard.next()
    node.ctl("set_disk_free_limit", "900000GB")
    try:
        ringer.ring(["ftp"])  # RabbitMQ tells of its alarm when something is published
        eventually(lambda: "alarm" in ringer.problem(), "the alarm is known")
        assert "make room" in ringer.problem()
        for _ in range(1000):
            ringer.ring(["ftp"])
    finally:
        node.ctl("set_disk_free_limit", "50MB")
    assert heard.next() == "ftp"
    eventually(lambda: not ringer.problem(), "it is over")


# What others do there.


def test_foreign_messages_are_set_aside_with_a_reason_and_bells_go_on(
    stranger: Stranger, open_broker: Callable[..., RabbitBroker]
) -> None:
    heard, ringer = Heard(open_broker(), "ftp"), open_broker()
    ringer.ring(["ftp"])
    heard.next()
    foreign = [
        b"\xff\x00",
        b"[" * 50_000,
        b'{"message_type": "ftp", "payload": {}}',
        b'{"queue": "mail"}',
        b"x" * 400_000,
    ]
    stranger.publish("ftp", *foreign, headers={"x-death": [{"queue": "ftp", "count": 9}], "x-own": "1"})
    ringer.ring(["ftp"])
    assert heard.next() == "ftp"
    eventually(lambda: stranger.depth("ftp_failed") == len(foreign), "all are set aside")
    kept = stranger.take("ftp_failed")
    assert [message.body for message in kept] == [body[: layout.MOST_FOREIGN_BYTES] for body in foreign]
    for message in kept:
        assert message.headers["reason"]
        assert "x-death" not in message.headers, "what is copied could send it in circles"
        assert message.expiration == layout.FOREIGN_KEPT_S
    assert kept[-1].headers["bytes"] == 400_000
    assert stranger.depth("ftp") == 0


def test_a_foreign_message_that_cannot_be_set_aside_stays_in_hand_and_is_no_reason_to_connect_anew(
    stranger: Stranger, open_broker: Callable[..., RabbitBroker], monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger.declare("ftp_failed", x_max_priority=9)
    heard, ringer = Heard(open_broker(replace(QUICK, watch_s=0.3)), "ftp"), open_broker()
    consumer = heard.broker._listener.consumers["ftp"]  # type: ignore[union-attr]
    real, said = consumer.is_deaf, list[bool]()

    async def is_deaf(connection: Any) -> bool:
        said.append(await real(connection))
        return said[-1]

    stranger.publish("ftp", b"foreign")
    eventually(lambda: stranger.depth("ftp") == 0, "it is in hand")
    ringer.ring(["ftp"])
    eventually(lambda: stranger.depth("ftp") == 1, "a bell lies behind it")
    monkeypatch.setattr(consumer, "is_deaf", is_deaf)
    eventually(lambda: len(said) > 3, "it was watched")
    assert not any(said)
    stranger.delete("ftp_failed")
    assert heard.next() == "ftp", "once it can be kept elsewhere bells go on"
    eventually(lambda: stranger.depth("ftp_failed") == 1, "it is kept, once")


def test_a_queue_that_somebody_else_made_is_left_alone_and_said(
    stranger: Stranger, open_broker: Callable[..., RabbitBroker]
) -> None:
    stranger.declare("ftp", x_max_priority=9)
    heard, ringer = Heard(open_broker(), "ftp", "mail"), open_broker()
    ringer.ring(["ftp", "mail"])
    assert heard.next() == "mail", "the other queues have their bells"
    for broker in (heard.broker, ringer):
        eventually(broker.problem, "it says so")
        assert "rabbitmqctl delete_queue ftp" in broker.problem()
    assert stranger.depth("ftp") == 0, "nothing is put where others read"
    stranger.delete("ftp")
    eventually(lambda: not heard.broker.problem(), "it is taken up again by itself")
    eventually(lambda: (ringer.ring(["ftp"]), not ringer.problem())[1], "there, too")
    assert heard.next() == "ftp"


def test_a_user_with_the_rights_of_the_reference_can_do_everything_and_one_without_is_told(
    node: Node, place: Place, stranger: Stranger
) -> None:
    node.ctl("add_user", "narrow", place.password)
    patterns = (layout.CONFIGURE_PATTERN, layout.WRITE_PATTERN, layout.READ_PATTERN)
    try:
        node.ctl("set_permissions", "-p", place.virtual_host, "narrow", *patterns)
        broker = RabbitBroker(replace(place, user="narrow"), QUICK)
        heard = Heard(broker, "ftp")
        broker.ring(["ftp"])
        assert heard.next() == "ftp"
        broker.call(["ftp"])
        assert heard.next() == "ftp"
        broker.bury([letter()])
        eventually(lambda: stranger.depth("ftp_failed") == 1, "the copy")
        assert broker.problem() == ""
        broker.close()
        node.ctl("set_permissions", "-p", place.virtual_host, "narrow", "", "", ".*")
        stranger.delete("ftp")
        broker = RabbitBroker(replace(place, user="narrow"), QUICK)
        broker.ring(["ftp"])
        eventually(broker.problem, "it says so")
        assert "configure, write and read" in broker.problem()
        broker.close()
    finally:
        node.ctl("delete_user", "narrow")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"password": "Wr0ng-Passw0rd"}, "refuses the user dispatcher"),
        ({"virtual_host": "nowhere"}, "virtual host nowhere"),
    ],
)
def test_what_is_wrong_with_the_settings_is_said_and_no_password(
    place: Place, wrong: dict[str, str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("aiormq", "aio_pika", "central_dispatch"):
        caplog.set_level(logging.DEBUG, name)
    broker = RabbitBroker(replace(place, **wrong), QUICK)  # type: ignore[arg-type]  # all of them are words
    try:
        broker.ring(["ftp"])
        eventually(broker.problem, "it says so")
        assert said in broker.problem()
    finally:
        broker.close()
    assert caplog.text
    assert place.password not in caplog.text
    assert "Wr0ng-Passw0rd" not in caplog.text
    assert place.password not in repr(broker._place)


# Bells.


def test_thousands_of_bells_are_few_messages_and_never_more_than_a_hundred_wait(
    stranger: Stranger, open_broker: Callable[..., RabbitBroker]
) -> None:
    ringer = open_broker()
    for _ in range(10_000):
        ringer.ring(["ftp"])
    ringer.close()
    assert 0 < (stranger.depth("ftp") or 0) < layout.MOST_BELLS / 2
    stranger.publish("ftp", *[layout.bell("ftp")] * 300)
    assert stranger.depth("ftp") == layout.MOST_BELLS


def test_parents_share_a_burst(stranger: Stranger, open_broker: Callable[..., RabbitBroker]) -> None:
    first, second = Heard(open_broker(), "ftp"), Heard(open_broker(), "ftp")
    stranger.publish("ftp", *[layout.bell("ftp")] * 60)
    eventually(lambda: first.bells.qsize() + second.bells.qsize() == 60, "all are heard")
    assert min(first.bells.qsize(), second.bells.qsize()) >= 10


def test_a_parent_that_does_not_look_holds_one_bell_and_the_others_get_the_next(
    open_broker: Callable[..., RabbitBroker],
) -> None:
    full = Heard(open_broker(replace(QUICK, hold_s=600.0)), "ftp", looks=False)
    free, ringer = Heard(open_broker(), "ftp"), open_broker()
    for _ in range(10):
        ringer.ring(["ftp"])
        eventually(lambda: full.bells.qsize() + free.bells.qsize(), "one of them hears it")
        if full.bells.qsize():
            break
        free.forget()
    assert full.bells.qsize() == 1
    for _ in range(5):
        free.forget()
        ringer.ring(["ftp"])
        assert free.next() == "ftp"
    assert full.bells.qsize() == 1


def test_a_bell_is_given_back_long_before_the_acknowledgement_limit_and_taken_again_after_a_look(
    open_broker: Callable[..., RabbitBroker],
) -> None:
    full, ringer = Heard(open_broker(replace(QUICK, hold_s=0.2)), "ftp", looks=False), open_broker()
    ringer.ring(["ftp"])
    assert full.next() == "ftp"
    eventually(lambda: full.broker._listener.consumers["ftp"].is_away, "it took its hands off")  # type: ignore[union-attr]
    free = Heard(open_broker(), "ftp")
    assert free.next() == "ftp", "the bell that it had comes to another"
    free.broker.close()
    ringer.ring(["ftp"])
    full.broker.looked("ftp")
    assert full.next() == "ftp"


def test_a_bell_rung_on_before_the_look_does_not_come_back_to_who_rang_it(
    open_broker: Callable[..., RabbitBroker],
) -> None:
    """A parent that filled its slots rings on, then says that it has looked: another one must hear that."""
    full = Heard(open_broker(replace(QUICK, hold_s=600.0)), "ftp", looks=False)
    open_broker().ring(["ftp"])
    full.next()
    other = Heard(open_broker(replace(QUICK, hold_s=600.0)), "ftp", looks=False)
    full.broker.ring(["ftp"])
    full.broker.looked("ftp")
    assert other.next() == "ftp"
    assert full.bells.empty()


# Copies of dead letters.


def test_a_dead_letter_lies_in_failed_with_its_reason_until_it_expires(
    stranger: Stranger, open_broker: Callable[..., RabbitBroker]
) -> None:
    broker = open_broker()
    broker.bury([letter("no such host ä\n\x00" + "x" * 5000)])
    eventually(lambda: stranger.depth("ftp_failed") == 1, "the copy")
    [message] = stranger.take("ftp_failed")
    assert json.loads(message.body) == {"file": "a.jpg"}
    assert message.headers["job"] == 7
    assert message.headers["attempts"] == 3
    assert str(message.headers["reason"]).startswith("no such host ä")
    assert message.delivery_mode == 2
    assert message.expiration is not None
    assert 95.9 * 3600 < float(message.expiration) <= 96 * 3600  # type: ignore[arg-type]  # seconds, as it was sent
    broker.bury([letter(kept=timedelta(seconds=1.5)), letter(kept=timedelta(seconds=-5))])
    eventually(lambda: stranger.depth("ftp_failed") == 1, "only the one that has not expired")
    eventually(lambda: stranger.depth("ftp_failed") == 0, "it goes by itself")


def test_many_dead_letters_are_all_copied(stranger: Stranger, open_broker: Callable[..., RabbitBroker]) -> None:
    broker = open_broker()
    for _ in range(20):
        broker.bury([letter()] * 50)
    eventually(lambda: stranger.depth("ftp_failed") == 1000, "all of them")


# What doctor looks at.


def test_doctor_finds_nothing_wrong_and_leaves_nothing(node: Node, place: Place, stranger: Stranger) -> None:
    seen = checking.look(place, ["ftp"], QUICK)
    assert seen.problems == ()
    assert seen.version.startswith("3.")
    assert stranger.depth("ftp") is None
    assert layout.CALLS not in node.ctl("list_queues", "-p", place.virtual_host, "name")


def test_doctor_says_an_alarm_and_what_else_it_found(node: Node, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "OLDEST", (99, 0))
    node.ctl("set_disk_free_limit", "900000GB")
    try:
        seen = checking.look(place, ["ftp", "mail"], replace(QUICK, connect_s=2.0))
    finally:
        node.ctl("set_disk_free_limit", "50MB")
    old, alarm = seen.problems
    assert "too old" in old
    assert "has an alarm" in alarm
    assert seen.version


def test_doctor_says_what_is_wrong(node: Node, place: Place, stranger: Stranger) -> None:
    stranger.declare("ftp", x_max_priority=9)
    [problem] = checking.look(place, ["ftp", "mail"], QUICK).problems
    assert "rabbitmqctl delete_queue ftp" in problem
    [problem] = checking.look(replace(place, password="wrong"), [], QUICK).problems
    assert "refuses the user" in problem
    [problem] = checking.look(replace(place, addresses=(("127.0.0.1", 1),)), [], QUICK).problems
    assert "is away" in problem
    node.ctl("add_user", "nobody", place.password)
    try:
        node.ctl("set_permissions", "-p", place.virtual_host, "nobody", "", "", ".*")
        [problem] = checking.look(replace(place, user="nobody"), [], QUICK).problems
        assert "configure, write and read" in problem
    finally:
        node.ctl("delete_user", "nobody")

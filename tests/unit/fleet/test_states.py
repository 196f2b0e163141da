from hypothesis import given
from hypothesis import strategies as st

import dispatchers  # noqa: F401 it makes Django ready
from central_dispatch.fleet.models import Instance, Run
from central_dispatch.fleet.states import (
    INSTANCE_TABLE,
    OPEN_RUNS,
    TURN_TABLE,
    Signal,
    Turn,
    next_instance_state,
    next_run_state,
    turn_for,
)

R, S, K = Run.State, Instance.State, Run.Kind
CHANGING_KINDS = (K.DEPLOY, K.DELETE, K.CLEAR)
BEFORE = {K.DEPLOY: (S.DRAFT, Turn.DEPLOY), K.DELETE: (S.ACTIVE, Turn.CHANGE), K.CLEAR: (S.STUCK, Turn.CLEAR)}


def follow(kind: Run.Kind, signals: list[Signal], *, wished: bool) -> tuple[Run.State, Instance.State, list[Signal]]:
    """Carry signals into a run and its instance; return where both stand and the signals that fitted."""
    state, (instance, turn) = R.REQUESTED, BEFORE[kind]
    instance = next_instance_state(instance, turn)
    assert instance is not None
    taken = []
    for signal in signals:
        following = next_run_state(kind, state, signal)
        if following is None:
            continue
        state = following
        taken.append(signal)
        turn = turn_for(kind, signal, wished=wished)
        if turn is not None:
            moved = next_instance_state(instance, turn)
            # A run's signal always finds its instance in a state where it means something.
            assert moved is not None, (kind, signal, instance)
            instance = moved
    return state, instance, taken


@st.composite
def fitting(draw: st.DrawFn, kind: Run.Kind, length: int = 10) -> list[Signal]:
    """Signals of which most fit, so that the walk goes deep into the tables."""
    state, said = R.REQUESTED, []
    for _ in range(draw(st.integers(0, length))):
        fits = [signal for signal in Signal if next_run_state(kind, state, signal)]
        signal = draw(st.sampled_from([*fits, *fits, *Signal] if fits else list(Signal)))
        state = next_run_state(kind, state, signal) or state
        said.append(signal)
    return said


signals = st.lists(st.sampled_from(list(Signal)), max_size=12)
kinds_and_signals = st.sampled_from(CHANGING_KINDS).flatmap(lambda kind: st.tuples(st.just(kind), fitting(kind)))


def test_every_way_through_a_run_finds_its_instance_where_it_means_something() -> None:
    for kind in CHANGING_KINDS:
        first = next_instance_state(*BEFORE[kind])
        assert first is not None
        seen, todo = set(), [(R.REQUESTED, first)]
        while todo:
            pair = todo.pop()
            if pair in seen:
                continue
            seen.add(pair)
            for signal in Signal:
                state = next_run_state(kind, pair[0], signal)
                if state is None:
                    continue
                turn = turn_for(kind, signal, wished=False)
                instance = next_instance_state(pair[1], turn) if turn else pair[1]
                assert instance is not None, (kind, *pair, signal)
                todo.append((state, instance))


@given(kinds_and_signals, st.booleans())
def test_whatever_a_host_says_an_instance_is_active_only_after_a_commit(
    walk: tuple[Run.Kind, list[Signal]],
    wished: bool,  # noqa: FBT001 hypothesis passes it
) -> None:
    kind, said = walk
    state, instance, taken = follow(kind, said, wished=wished)
    if kind is K.DEPLOY and instance is S.ACTIVE:
        assert Signal.COMMITTED in taken
        assert state is R.COMMITTED
    if instance is S.DELETED:
        assert kind is K.DELETE
        assert Signal.COMMITTED in taken


@given(kinds_and_signals, st.booleans())
def test_an_open_run_and_its_instance_never_disagree(
    walk: tuple[Run.Kind, list[Signal]],
    wished: bool,  # noqa: FBT001 hypothesis passes it
) -> None:
    kind, said = walk
    state, instance, _ = follow(kind, said, wished=wished)
    if state in OPEN_RUNS:
        assert instance in {S.DEPLOYING, S.BACKING_OUT, S.CHANGING, S.STUCK}
        assert (state is R.STUCK) == (instance is S.STUCK)
    else:
        assert instance not in {S.DEPLOYING, S.BACKING_OUT, S.CHANGING}


@given(st.sampled_from(list(K)), signals, signals)
def test_an_ended_run_stays_ended(kind: Run.Kind, said: list[Signal], later: list[Signal]) -> None:
    state = R.REQUESTED
    for signal in said:
        state = next_run_state(kind, state, signal) or state
    if state not in OPEN_RUNS:
        assert all(next_run_state(kind, state, signal) is None for signal in later)


@given(st.sampled_from([K.PLAN, K.INVENTORY]), signals)
def test_a_look_never_changes_its_instance(kind: Run.Kind, said: list[Signal]) -> None:
    assert all(turn_for(kind, signal, wished=False) is None for signal in said)


def test_nothing_leaves_the_state_deleted() -> None:
    assert all(next_instance_state(S.DELETED, turn) is None for turn in Turn)


def test_a_failed_deployment_can_be_retried_straight_away() -> None:
    said = [Signal.BEGAN, Signal.TURNED_ROUND, Signal.ENDED_BACKED_OUT]
    assert follow(K.DEPLOY, said, wished=False)[1] is S.IN_ERROR
    assert next_instance_state(S.IN_ERROR, Turn.DEPLOY) is S.DEPLOYING


def test_a_deployment_that_was_taken_back_by_hand_is_a_draft_again() -> None:
    said = [Signal.BEGAN, Signal.TURNED_ROUND, Signal.ENDED_BACKED_OUT]
    assert follow(K.DEPLOY, said, wished=True)[1] is S.DRAFT


def test_a_deletion_that_failed_leaves_the_instance_active() -> None:
    said = [Signal.BEGAN, Signal.TURNED_ROUND, Signal.ENDED_BACKED_OUT]
    assert follow(K.DELETE, said, wished=False)[1] is S.ACTIVE


def test_every_row_of_the_tables_can_be_reached() -> None:
    reached = {state for state, _ in INSTANCE_TABLE} - {S.DRAFT}
    assert reached <= set(INSTANCE_TABLE.values())
    assert {kind for kind, _ in TURN_TABLE} == set(CHANGING_KINDS)

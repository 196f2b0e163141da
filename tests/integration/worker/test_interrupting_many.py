"""Many trees of processes are interrupted at once: bench/interrupt does the same with 200."""

from queue_workers.interrupting import run
from queue_workers.rig import Rig


def test_of_many_interrupted_transcoders_no_process_survives_and_the_states_say_so(rig: Rig) -> None:
    result = run(rig, 8)
    assert result.survivors == 0
    assert result.states == {"interrupted": 8}

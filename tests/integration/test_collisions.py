"""What was there before makes the plan fail, and survives a back-out untouched: at each of three moments."""

import secrets

import pytest

from central_dispatch.host.planner import Planned
from central_dispatch.platforms.sandbox import Sandbox
from central_dispatch.provisioning.saga import Saga
from central_dispatch.provisioning.spec import InstanceSpec
from servers.collisions import CASES, KEPT_BESIDE, Case, Interfering
from servers.fingerprint import difference, fingerprint
from servers.host_rig import HostRig, add_source


@pytest.fixture(scope="module")
def rig(sandbox: Sandbox) -> HostRig:
    add_source(sandbox, "sample")
    return HostRig(sandbox)


@pytest.fixture
def spec(rig: HostRig) -> InstanceSpec:
    return rig.spec(f"c{secrets.token_hex(4)}")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_there_before_the_plan_is_named_by_it_and_stays(rig: HostRig, spec: InstanceSpec, case: Case) -> None:
    case.make(rig, spec)
    try:
        before = fingerprint(rig.sandbox)
        _, problems = rig.plan("plan", spec)
        assert isinstance(problems, list) or case.step == "schedule"
        if isinstance(problems, Planned):
            # A crontab is a user's, and only once there is the user can it be looked at.
            problems = [rig.begin("deploy", spec)]
            assert problems[0].carry_on() == "backed_out"
        assert difference(before, fingerprint(rig.sandbox)) == []
    finally:
        case.remove(rig, spec)


@pytest.mark.parametrize("case", [case for case in CASES if case.title not in KEPT_BESIDE], ids=str)
def test_what_comes_between_probe_and_act_turns_the_run_round_and_stays(
    rig: HostRig, spec: InstanceSpec, case: Case
) -> None:
    run, planned = rig.plan("deploy", spec)
    assert isinstance(planned, Planned), planned
    rig.vault.make(spec.id, planned.secrets)
    clean = fingerprint(rig.sandbox)
    index = next(i for i, step in enumerate(planned.plan.steps) if step.name == case.step)
    journal = rig.journal(run, planned)
    try:
        interfering = Interfering(journal, index, lambda: case.make(rig, spec))
        saga = Saga(rig.host, interfering)
        assert saga.carry_on() == "backed_out"
        assert saga.state.failed_step == index
    finally:
        left = difference(clean, fingerprint(rig.sandbox))
        case.remove(rig, spec)
    # The foreign thing is still there (its removal just worked), and nothing of ours is.
    assert left, "the case laid nothing"
    assert difference(clean, fingerprint(rig.sandbox)) == []

"""One file per step; this table is how a journal's line finds its step again."""

from typing import Any

from central_dispatch.provisioning.step import Step

STEPS: dict[tuple[str, int], type[Step]] = {}


def step_from_json(value: dict[str, Any]) -> Step:
    """Read what `Step.to_json` wrote, also by an older release."""
    key = (str(value["step"]), int(value["version"]))
    if key not in STEPS:
        raise ValueError(f"the journal names step {key[0]} version {key[1]}, which this release does not know")
    return STEPS[key].model_validate(value["with"])

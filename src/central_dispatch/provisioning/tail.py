"""Steps of a tail, which only go forward after the commit: they seal or remove what another step made."""

from typing import Any, ClassVar

from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.step import Act, Change, Output, Step
from central_dispatch.provisioning.steps import step_from_json


class Around(Act):
    """A step about another step, which is carried in its journal form."""

    inner: dict[str, Any]

    @property
    def step(self) -> Step:
        """The step that is wrapped."""
        return step_from_json(self.inner)


class Seal(Around):
    """Mark the thing as committed."""

    name: ClassVar[str] = "seal"

    @property
    def title(self) -> str:
        """Name the step."""
        return f"Seal: {self.step.title}"

    def changes(self) -> list[Change]:
        """Nothing that an administrator would call a change."""
        return []

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        """Seal it, if it is this instance's: whatever else has its name by now keeps its own mark."""
        finding = self.step.probe(host, mark)
        if finding.state in {"ours", "committed"}:
            self.step.seal(host, mark)
        return None

    def verify(self, host: Host, mark: Mark) -> Problem | None:
        """Find it sealed."""
        finding = self.step.probe(host, mark)
        if finding.state == "committed":
            return None
        return Problem(f"{self.step.title}: the seal did not hold", f"found {finding.state}: {finding.what}", "Retry.")


class Remove(Around):
    """Take away what bears this instance's mark; what does not is left, and said."""

    name: ClassVar[str] = "remove"

    confirmed: bool = False  # an administrator confirmed this very thing, whatever its mark says

    @property
    def title(self) -> str:
        """Name the step."""
        return f"Remove: {self.step.title}"

    def changes(self) -> list[Change]:
        """Name what goes."""
        return [Change("remove", change.what, change.where) for change in self.step.changes()]

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        """Judge, then clear."""
        step, mark = self.step, mark.trusting() if self.confirmed else mark
        finding = step.probe(host, mark)
        if finding.state in {"ours", "committed"} or (self.confirmed and not finding.absent):
            step.clear(host, mark, output)
        elif finding.state == "foreign":
            output(f"left alone, it does not bear this instance's mark: {finding.what}")
        return None

    def verify(self, host: Host, mark: Mark) -> Problem | None:
        """See that nothing of ours is left."""
        finding = self.step.probe(host, mark)
        if finding.absent or (finding.state == "foreign" and not self.confirmed):
            return None
        return Problem(f"{self.step.title}: could not be removed", f"{finding.what} is still there", "Retry.")


TAIL: dict[tuple[str, int], type[Around]] = {("seal", 1): Seal, ("remove", 1): Remove}


def tail_from_json(value: dict[str, Any]) -> Step:
    """Read a step of a tail: one of the table above, or any step."""
    around = TAIL.get((str(value["step"]), int(value["version"])))
    return around.model_validate(value["with"]) if around else step_from_json(value)

"""The instance's own Unix user and group. Mark: the user's comment (GECOS), which is made with the user."""

from typing import ClassVar

from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.ports import Host, User
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.step import ABSENT, Change, Finding, Output, Step


class SystemUser(Step):
    """User and group `user` with a number that was never used before; the web server's user joins the group."""

    name: ClassVar[str] = "system_user"

    user: str
    uid: int
    home: str
    web_server_user: str

    @property
    def title(self) -> str:
        """Name the step."""
        return f"System user {self.user}"

    def changes(self) -> list[Change]:
        """Name user and group."""
        where = f"uid and gid {self.uid}, no password, no shell; {self.web_server_user} joins the group"
        return [Change("create", f"Unix user and group {self.user}", where)]

    def probe(self, host: Host, mark: Mark) -> Finding:
        """Judge by the comment; a group that was left alone is ours if it has our number and nobody else in it."""
        user, group = host.accounts.find(self.user), host.accounts.find_group(self.user)
        if user:
            state = mark.judge(user.comment) if user.uid == self.uid else "foreign"
            return Finding(state, f"the Unix user {self.user} (uid {user.uid})")
        if group:
            number, members = group
            ours = number == self.uid and set(members) <= {self.web_server_user}
            return Finding("ours" if ours else "foreign", f"the Unix group {self.user} (gid {number})")
        return ABSENT

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        """Create both, the mark included."""
        host.accounts.create(User(self.user, self.uid, self.uid, mark.open, self.home))
        host.accounts.join(self.web_server_user, self.user)
        return None

    def verify(self, host: Host, mark: Mark) -> Problem | None:
        """Look both up again."""
        user, group = host.accounts.find(self.user), host.accounts.find_group(self.user)
        if user and user.uid == self.uid and group and self.web_server_user in group[1]:
            return None
        return Problem(f"The Unix user {self.user} is not as it was made", f"found {user}, {group}")

    def clear(self, host: Host, mark: Mark, output: Output) -> None:
        """End its processes, then delete user and group."""
        host.accounts.end_processes(self.user)
        host.accounts.delete(self.user)

    def seal(self, host: Host, mark: Mark) -> None:
        """Change the comment."""
        host.accounts.describe(self.user, mark.sealed)

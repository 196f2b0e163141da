"""What an instance's application is told of itself: by its configuration and by its commands' standard input."""

from typing import Any

from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.spec import Frozen
from central_dispatch.provisioning.steps.database_user import PASSWORD


class Application(Frozen):
    """An instance as its application sees it. Without secrets: those are added on the host, at the last moment."""

    name: str
    url: str  # https://HOSTNAME[:PORT]
    hostnames: tuple[str, ...]
    admin_email: str
    web_root: str
    release: str  # the directory of the release
    database: str = ""  # empty: has none
    database_user: str = ""
    database_socket: str = ""
    database_host: str = "localhost"
    database_port: int = 3306
    secrets: tuple[str, ...] = ()  # names

    def with_secrets(self, host: Host, mark: Mark) -> dict[str, Any]:
        """Return `instance`, `database` and `secrets` as templates and commands know them."""
        secrets = {name: host.vault.secret(mark.instance, name) for name in self.secrets}
        instance = self.model_dump(mode="json", include={"name", "url", "hostnames", "admin_email"})
        values: dict[str, Any] = {"instance": instance, "secrets": secrets}
        if self.database:
            values["database"] = {
                "name": self.database,
                "user": self.database_user,
                "password": host.vault.secret(mark.instance, PASSWORD),
                "socket": self.database_socket,
                "host": self.database_host,
                "port": self.database_port,
            }
        return values

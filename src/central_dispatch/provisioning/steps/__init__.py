"""One file per step; this table is how a journal's line finds its step again."""

from typing import Any

from central_dispatch.provisioning.step import Step
from central_dispatch.provisioning.steps.archive import Archive
from central_dispatch.provisioning.steps.code import Code
from central_dispatch.provisioning.steps.config_files import ConfigFiles
from central_dispatch.provisioning.steps.current import Current
from central_dispatch.provisioning.steps.database import Database
from central_dispatch.provisioning.steps.database_user import DatabaseUser
from central_dispatch.provisioning.steps.directory import Directory
from central_dispatch.provisioning.steps.enabled_module import EnabledModule
from central_dispatch.provisioning.steps.forget_secrets import ForgetSecrets
from central_dispatch.provisioning.steps.health_check import HealthCheck
from central_dispatch.provisioning.steps.install import Install
from central_dispatch.provisioning.steps.php_pool import PhpPool
from central_dispatch.provisioning.steps.reload import Reload
from central_dispatch.provisioning.steps.schedule import Schedule
from central_dispatch.provisioning.steps.shared_paths import SharedPaths
from central_dispatch.provisioning.steps.sync import Sync
from central_dispatch.provisioning.steps.system_user import SystemUser
from central_dispatch.provisioning.steps.tls_files import TlsFiles
from central_dispatch.provisioning.steps.virtual_host import VirtualHost
from central_dispatch.provisioning.steps.web_root import WebRoot

# (name, version) as the journal has them. A row stays for as long as a journal may name it.
STEPS: dict[tuple[str, int], type[Step]] = {
    ("system_user", 1): SystemUser,
    ("database", 1): Database,
    ("database_user", 1): DatabaseUser,
    ("web_root", 1): WebRoot,
    ("shared_paths", 1): SharedPaths,
    ("code", 1): Code,
    ("current", 1): Current,
    ("config_files", 1): ConfigFiles,
    ("install", 1): Install,
    ("tls_files", 1): TlsFiles,
    ("php_pool", 1): PhpPool,
    ("reload", 1): Reload,
    ("virtual_host", 1): VirtualHost,
    ("health_check", 1): HealthCheck,
    ("schedule", 1): Schedule,
    ("sync", 1): Sync,
    ("archive", 1): Archive,
    ("directory", 1): Directory,
    ("enabled_module", 1): EnabledModule,
    ("forget_secrets", 1): ForgetSecrets,
}


def step_from_json(value: dict[str, Any]) -> Step:
    """Read what `Step.to_json` wrote, also by an older release."""
    key = (str(value["step"]), int(value["version"]))
    if key not in STEPS:
        raise ValueError(f"the journal names step {key[0]} version {key[1]}, which this release does not know")
    return STEPS[key].model_validate(value["with"])

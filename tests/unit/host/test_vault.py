"""The vault, the identity and the lock on real files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from central_dispatch.host import identity, lock
from central_dispatch.host.vault import FileVault
from central_dispatch.provisioning.problem import HostError
from central_dispatch.provisioning.trust import seal
from servers.host_world import hex_id

ONE, TWO = hex_id(1), hex_id(2)


def test_secrets_have_their_forms_and_outlive_the_process(tmp_path: Path) -> None:
    vault = FileVault(tmp_path / "vault")
    vault.make(ONE, {"password": "password", "key": "hex32", "app": "base64-32"})
    password, key, app = (vault.secret(ONE, name) for name in ("password", "key", "app"))
    assert len(password) == 32
    assert password.isalnum()
    assert len(bytes.fromhex(key)) == 16
    assert len(app) == 44
    assert FileVault(tmp_path / "vault").secret(ONE, "key") == key
    assert (tmp_path / "vault" / f"{ONE}.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "vault").stat().st_mode & 0o777 == 0o700


def test_a_secret_that_exists_is_never_made_anew(tmp_path: Path) -> None:
    vault = FileVault(tmp_path / "vault")
    vault.make(ONE, {"password": "password"})
    before = vault.secret(ONE, "password")
    vault.make(ONE, {"password": "password", "more": "hex32"})
    assert vault.secret(ONE, "password") == before
    vault.make(TWO, {"password": "password"})
    assert vault.secret(TWO, "password") != before


def test_make_is_durable_before_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    real_sync, real_replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append("sync"), real_sync(fd))[1])
    monkeypatch.setattr(Path, "replace", lambda *given: (done.append("rename"), real_replace(*given))[1])
    FileVault(tmp_path / "vault").make(ONE, {"password": "password"})
    assert done == ["sync", "rename", "sync"]


def test_what_is_forgotten_is_gone_and_forgetting_twice_is_no_error(tmp_path: Path) -> None:
    vault = FileVault(tmp_path / "vault")
    vault.make(ONE, {"password": "password"})
    vault.forget(ONE)
    vault.forget(ONE)
    assert list((tmp_path / "vault").iterdir()) == []
    with pytest.raises(HostError, match="holds no secret"):
        vault.secret(ONE, "password")


@pytest.mark.parametrize("instance", ["../etc", "", "A" * 32, ONE[:-1], ONE + "\n"])
def test_only_an_instances_id_names_a_file(tmp_path: Path, instance: str) -> None:
    with pytest.raises(HostError, match="no instance's id"):
        FileVault(tmp_path / "vault").make(instance, {"password": "password"})


def test_an_unknown_form_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="form"):
        FileVault(tmp_path / "vault").make(ONE, {"a": "hex32", "b": "rot13"})
    assert not (tmp_path / "vault").exists()


def test_secrets_are_masked_also_as_a_url_or_json_writes_them(tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir()
    (tmp_path / "vault" / f"{ONE}.json").write_text(json.dumps({"app": "abc/def+ghi=jkl"}))
    vault = FileVault(tmp_path / "vault")
    for text in ("abc/def+ghi=jkl", "abc%2Fdef%2Bghi%3Djkl", "abc\\/def+ghi=jkl"):
        assert "ghi" not in vault.mask(ONE, f"password is {text}!")
    assert vault.mask(TWO, "abc/def+ghi=jkl") == "abc/def+ghi=jkl"


def test_a_sealed_key_opens_only_for_its_worker_instance_and_purpose(tmp_path: Path) -> None:
    key = X25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    vault = FileVault(tmp_path / "vault", lambda: (hex_id(9), key))
    sealed = seal(b"the key", public, purpose="tls-key", worker=hex_id(9), instance=ONE)
    assert vault.open_sealed(ONE, "tls-key", sealed) == b"the key"
    for instance, purpose in ((TWO, "tls-key"), (ONE, "other")):
        with pytest.raises(HostError, match="cannot be opened"):
            vault.open_sealed(instance, purpose, sealed)
    with pytest.raises(HostError, match="no sealing key"):
        FileVault(tmp_path / "vault").open_sealed(ONE, "tls-key", sealed)


def test_a_damaged_vault_file_is_said_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir()
    path = tmp_path / "vault" / f"{ONE}.json"
    path.write_text("{half")
    with pytest.raises(HostError, match="cannot be read"):
        FileVault(tmp_path / "vault").make(ONE, {"password": "password"})
    assert path.read_text() == "{half"


def test_the_machines_id_is_never_sent_as_it_is(tmp_path: Path) -> None:
    etc = tmp_path / "machine-id"
    etc.write_text("0123456789abcdef0123456789abcdef\n")
    sent = identity.machine_id(tmp_path, etc)
    assert len(bytes.fromhex(sent)) == 16
    assert sent != etc.read_text().strip()
    assert identity.machine_id(tmp_path, etc) == sent
    etc.write_text("f" * 32)
    assert identity.machine_id(tmp_path, etc) != sent


@pytest.mark.parametrize("content", [None, "", "uninitialized\n"])
def test_a_machine_without_an_id_keeps_one_of_its_own(tmp_path: Path, content: str | None) -> None:
    etc = tmp_path / "machine-id-of-etc"
    if content is not None:
        etc.write_text(content)
    first = identity.machine_id(tmp_path, etc)
    assert identity.machine_id(tmp_path, etc) == first


HOLDER = """
import sys, pathlib
from central_dispatch.host import lock
taken = lock.take(pathlib.Path(sys.argv[1]))
print(type(taken).__name__, flush=True)
sys.stdin.read()
"""


def test_a_second_host_worker_is_told_who_holds_the_lock_until_that_one_is_killed(tmp_path: Path) -> None:
    state = tmp_path / "state"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == "WorkerLock\n"
    assert lock.take(state) == lock.Held(holder.pid)
    holder.kill()
    holder.wait()
    holder.stdout.close()
    holder.stdin.close()
    taken = lock.take(state)
    assert isinstance(taken, lock.WorkerLock)
    assert lock.take(state) == lock.Held(os.getpid())
    taken.release()
    again = lock.take(state)
    assert isinstance(again, lock.WorkerLock)
    again.release()

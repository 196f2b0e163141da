from pathlib import Path

import pytest

from central_dispatch.platforms.vhosts import deadly, read_version, read_vhosts

DUMP = """\
VirtualHost configuration:
*:443                  is a NameVirtualHost
         default server Unknown.invalid (/etc/apache2/apache2.conf:11)
         port 443 namevhost Unknown.invalid (/etc/apache2/apache2.conf:11)
         port 443 namevhost a.test (/etc/apache2/sites enabled/a (1).conf:1)
                 alias B.test
                 wild alias *.c.test
         port 443 namevhost a.test (/etc/apache2/sites-enabled/late.conf:9)
[::1]:8080             d.test (/etc/apache2/sites-enabled/d.conf:3)
10.0.0.1:*             e.test (/etc/apache2/sites-enabled/e.conf:3)
                 alias www.e.test
ServerRoot: "/etc/apache2"
"""


def test_vhosts_are_read_with_aliases_and_the_first_file_of_a_name() -> None:
    first = "/etc/apache2/sites enabled/a (1).conf"
    assert read_vhosts(DUMP) == {
        "unknown.invalid": "/etc/apache2/apache2.conf",
        "a.test": first,
        "b.test": first,
        "*.c.test": first,
        "d.test": "/etc/apache2/sites-enabled/d.conf",
        "e.test": "/etc/apache2/sites-enabled/e.conf",
        "www.e.test": "/etc/apache2/sites-enabled/e.conf",
    }


def test_no_vhost_is_no_name() -> None:
    assert read_vhosts("VirtualHost configuration:\n") == {}


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Server version: Apache/2.4.71 (Debian)\nServer built: 2026", (2, 4)),
        ("Server version: Apache/2.2.15 (Unix)\n", (2, 2)),
        ("nginx version: nginx/1.2", None),
        ("", None),
    ],
)
def test_a_version_is_read_or_none(text: str, version: object) -> None:
    assert read_version(text) == version


@pytest.mark.parametrize(
    "text",
    ["Listen 443", "  LISTEN 443", "<IfModule x>\nListen 1\n</IfModule>", "Lis\\\nten 5"],
)
def test_a_listen_directive_is_deadly_however_it_is_written(text: str) -> None:
    problem = deadly(text, "/x.conf")
    assert problem
    assert "/x.conf:" in problem.what


@pytest.mark.parametrize("text", ["", "# Listen 443", 'ListenBackLog 5\nServerName "un closed', "SSLCertificateFile\n"])
def test_what_only_looks_like_it_is_not_deadly(text: str) -> None:
    assert deadly(text, "/x.conf") is None


def test_a_certificate_that_cannot_be_read_is_deadly(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("no certificate")
    problem = deadly(f'SSLCertificateFile "{tmp_path}/c"\nSSLCertificateKeyFile {tmp_path}/none\n', "/x.conf")
    assert problem
    assert problem.what.startswith("/x.conf:2:")

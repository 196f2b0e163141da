# Sourced by bin/demo and bin/test: install what is missing, and say so before.
# shellcheck shell=bash

DEMO_PACKAGES=(python3-venv apache2 php-fpm php-cli php-mysql mariadb-server mariadb-client cron)
# The compiler and the headers are for mysqlclient, which comes as source only.
TEST_PACKAGES=("${DEMO_PACKAGES[@]}" wordpress wordpress-theme-twentytwentythree chromium iproute2
  rabbitmq-server postgresql ffmpeg systemd build-essential pkg-config libmariadb-dev python3-dev)
VENV="${CENTRAL_DISPATCH_VENV:-.venv}"

say() { printf '%s\n' "== $*"; }

die() {
  printf '%s\n' "$@" >&2
  exit 1
}

# need_packages NAME…: install the Debian packages that are not installed.
need_packages() {
  local missing=() name
  command -v dpkg-query >/dev/null || die "This needs Debian or Ubuntu: dpkg-query is missing."
  for name in "$@"; do
    [[ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null || true)" == installed ]] || missing+=("$name")
  done
  if ((${#missing[@]} == 0)); then return; fi
  if ((EUID != 0)); then
    die "These packages are missing, and only root can install them:" \
      "  apt-get update && apt-get install --no-install-recommends ${missing[*]}"
  fi
  say "Installing Debian packages: ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# make_environment FILE: a virtual environment with the pinned packages of requirements/FILE, and this project.
make_environment() {
  local python="${PYTHON:-python3}" wanted
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    die "Python 3.11 or newer is needed; name one with PYTHON=/path/to/python."
  wanted="$(sha256sum "requirements/$1" pyproject.toml | sha256sum | cut -c 1-64)"
  # What the tests need holds all that the demo needs.
  if [[ "$1" == portal.txt && "$(cat "$VENV/.installed-dev.txt" 2>/dev/null)" == \
    "$(sha256sum requirements/dev.txt pyproject.toml | sha256sum | cut -c 1-64)" ]]; then return; fi
  if [[ "$(cat "$VENV/.installed-$1" 2>/dev/null)" == "$wanted" ]]; then return; fi
  say "Installing the Python packages of requirements/$1 into $VENV"
  [[ -x "$VENV/bin/pip" ]] || "$python" -m venv "$VENV"
  "$VENV/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "requirements/$1"
  "$VENV/bin/pip" install --quiet --disable-pip-version-check --no-deps -e .
  printf '%s\n' "$wanted" >"$VENV/.installed-$1"
}

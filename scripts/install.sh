#!/bin/sh
# Make .venv ready: Debian packages, virtual environment, the project with what its tests need.
#
#   scripts/install.sh [--chain | --test]     --chain: also the Debian packages of packages-chain.txt
#                                             --test: also those of packages-test.txt
#
# Nothing is done when nothing changed: a stamp in .venv holds a digest of the files below and of the place, since a
# virtual environment cannot be moved. It is written last, so that an interrupted installation starts again.
set -eu
cd "$(dirname "$0")/.."

stamp=.venv/.installed
package_files=packages.txt
case "${1:-}" in
    --chain) stamp=.venv/.installed-chain package_files="packages.txt packages-chain.txt" ;;
    --test) stamp=.venv/.installed-test package_files="packages.txt packages-chain.txt packages-test.txt" ;;
esac

digest() {
    { pwd -P && cat setup.cfg pyproject.toml packages*.txt scripts/install.sh; } | sha256sum
}

is_current() {
    [ -x .venv/bin/python ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(digest)" ]
}

is_current && exit 0

# One at a time: two devnets may be started side by side in a fresh clone.
exec 9< setup.cfg
if command -v flock > /dev/null; then flock 9; fi
is_current && exit 0

# Names from the package files that dpkg does not have; empty where there is no dpkg.
missing_packages() {
    command -v dpkg-query > /dev/null || return 0
    # shellcheck disable=SC2086
    for package in $(sed 's/#.*//' $package_files); do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2> /dev/null | grep -qx installed || printf ' %s' "$package"
    done
}

apt_line=
install_packages() {
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" = 0 ]; then
        export DEBIAN_FRONTEND=noninteractive
        echo "Installing Debian packages:$missing"
        # A fresh machine has no package lists, an old one has stale ones.
        # shellcheck disable=SC2086
        apt-get install -y -qq --no-install-recommends $missing > /dev/null 2>&1 ||
            { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing > /dev/null; }
    else
        apt_line="sudo apt-get install -y --no-install-recommends$missing"
        printf 'Debian packages are missing. Run this line, then try again if the installation fails:\n  %s\n' "$apt_line" >&2
    fi
}

is_usable() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' > /dev/null 2>&1
}

find_python() {
    for candidate in "${PYTHON:-python3.11}" python3.11 python3 python3.12; do
        if is_usable "$candidate"; then
            echo "$candidate"
            return 0
        fi
    done
    echo "zenp2p needs Python 3.11 or 3.12 with venv (Debian: python3 and python3-venv); PYTHON=… names another." >&2
    return 1
}

make_environment() {
    # An environment that was made elsewhere keeps that place in its scripts.
    made_at=$(sed -n 's/^command = .* -m venv \(--[a-z]* \)*//p' .venv/pyvenv.cfg 2> /dev/null || true)
    if is_usable .venv/bin/python && [ "$made_at" = "$(pwd -P)/.venv" ]; then
        return 0
    fi
    python=$(find_python)
    "$python" -m venv --clear "$(pwd -P)/.venv"
}

install_packages
make_environment
echo "Installing zenp2p and what its tests need into .venv …"
if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check --use-pep517 --editable '.[test]'; then
    echo "The installation failed. It needs a C compiler and the headers of Python and GMP (packages.txt)." >&2
    if [ -n "$apt_line" ]; then printf 'This line brings them:\n  %s\n' "$apt_line" >&2; fi
    exit 1
fi
digest | tee .venv/.installed > "$stamp"  # what the chain or the tests need includes the rest
if [ "$stamp" = .venv/.installed-test ]; then digest > .venv/.installed-chain; fi

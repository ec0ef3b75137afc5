"""scripts/install.sh, with stand-ins for the system's commands: what it runs, when, and what it prints.

The real thing is tried by every fresh clone; here are the branches that a fresh
machine does not take.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

FILES = [
    "setup.cfg",
    "pyproject.toml",
    "packages.txt",
    "packages-chain.txt",
    "packages-test.txt",
    "scripts/install.sh",
]

PYTHON = """#!/bin/sh
case "$1 $2" in
  "-c "*) exit {version_is_wrong} ;;
  "-m venv") echo venv >> "{log}"; for place; do :; done
             mkdir -p "$place/bin"; cp "$0" "$place/bin/python"
             echo "command = $0 -m venv --clear $place" > "$place/pyvenv.cfg" ;;
  "-m pip") echo pip >> "{log}"; exit {pip_fails} ;;
esac
"""
DPKG = (
    '#!/bin/sh\nfor name; do :; done\necho "query $name" >> "{log}"\n[ -e "{log}.$name" ] && echo installed\n'
)
APT = """#!/bin/sh
echo "apt $*" >> "{log}"
[ "$1" = update ] && {{ touch "{log}.lists"; exit 0; }}
[ -e "{log}.lists" ] || exit 100
for name; do touch "{log}.$name"; done
"""
PACKAGES = ["build-essential", "python3-dev", "libgmp-dev"]


@dataclass
class Machine:
    """A copy of the project's installer on a machine made of stand-ins."""

    home: Path
    project: Path
    user: int = 0

    @property
    def log(self) -> Path:
        return self.home / "log"

    def command(self, name: str, text: str, **values: object) -> None:
        path = self.home / "bin" / name
        path.write_text(text.format(log=self.log, **values))
        path.chmod(0o755)

    def python(self, *, version_is_wrong: int = 0, pip_fails: int = 0) -> None:
        for name in ("python3.11", "python3", "python3.12"):
            self.command(name, PYTHON, version_is_wrong=version_is_wrong, pip_fails=pip_fails)

    def has(self, *packages: str) -> None:
        for package in packages:
            Path(f"{self.log}.{package}").touch()

    def install(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run the installer with nothing but stand-ins for the commands that matter."""
        self.log.write_text("")
        self.command("id", f"#!/bin/sh\necho {self.user}\n")
        environment = {"PATH": f"{self.home / 'bin'}:{os.environ['PATH']}"}
        script = str(self.project / "scripts" / "install.sh")
        return subprocess.run([script, *options], env=environment, capture_output=True, text=True, timeout=60)

    def ran(self, what: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if line.startswith(what)]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    project = tmp_path / "a place with spaces"
    for name in FILES:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, project / name)
    (tmp_path / "bin").mkdir()
    machine = Machine(tmp_path, project)
    machine.python()
    machine.command("dpkg-query", DPKG)
    machine.command("apt-get", APT)
    return machine


def test_root_gets_what_is_missing_and_then_the_project(machine: Machine) -> None:
    machine.has("libgmp-dev")
    done = machine.install()
    assert done.returncode == 0, done.stderr
    assert machine.ran("apt")[-1] == "apt install -y -qq --no-install-recommends build-essential python3-dev"
    assert machine.ran("apt update") == ["apt update -qq"]
    assert machine.ran("venv") == ["venv"]
    assert machine.ran("pip") == ["pip"]


def test_nothing_is_asked_of_apt_when_nothing_is_missing(machine: Machine) -> None:
    machine.has(*PACKAGES)
    assert machine.install().returncode == 0
    assert machine.ran("apt") == []


def test_the_second_time_nothing_is_done(machine: Machine) -> None:
    machine.has(*PACKAGES)
    machine.install()
    done = machine.install()
    assert (done.returncode, done.stdout, done.stderr, machine.log.read_text()) == (0, "", "", "")


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_installs_again_into_the_same_environment(machine: Machine, name: str) -> None:
    machine.has(*PACKAGES)
    machine.install()
    with (machine.project / name).open("a") as file:
        file.write("\n# changed\n")
    assert machine.install().returncode == 0
    assert (machine.ran("pip"), machine.ran("venv")) == (["pip"], [])


def test_a_moved_project_gets_a_new_environment(machine: Machine) -> None:
    machine.has(*PACKAGES)
    machine.install()
    machine.project = machine.project.rename(machine.home / "elsewhere")
    assert machine.install().returncode == 0
    assert (machine.ran("pip"), machine.ran("venv")) == (["pip"], ["venv"])


def test_an_interrupted_installation_starts_again(machine: Machine) -> None:
    machine.has(*PACKAGES)
    machine.python(pip_fails=1)
    assert machine.install().returncode == 1
    shutil.rmtree(machine.project / ".venv")
    machine.python()
    assert machine.install().returncode == 0
    assert machine.ran("pip") == ["pip"]


def test_who_is_not_root_gets_the_line_to_run(machine: Machine) -> None:
    machine.user = 1000
    done = machine.install()
    assert done.returncode == 0
    assert machine.ran("apt") == []
    line = "sudo apt-get install -y --no-install-recommends build-essential python3-dev libgmp-dev"
    assert f"\n  {line}\n" in done.stderr


def test_the_line_comes_again_when_the_installation_fails(machine: Machine) -> None:
    machine.user = 1000
    machine.python(pip_fails=1)
    done = machine.install()
    assert done.returncode == 1
    assert done.stderr.count("sudo apt-get install -y") == 2
    assert not (machine.project / ".venv" / ".installed").exists()


def test_the_tests_packages_are_asked_for_by_the_tests_only(machine: Machine) -> None:
    machine.has(*PACKAGES)
    machine.install()
    assert "query git" not in machine.ran("query")
    machine.install("--test")
    assert "query git" in machine.ran("query")
    assert machine.ran("apt install")[-1].endswith(" git")
    assert machine.install("--test").stdout == ""
    assert machine.log.read_text() == ""


def test_the_chains_node_is_asked_for_by_who_runs_on_it(machine: Machine) -> None:
    machine.has(*PACKAGES)
    machine.install()
    assert "query litecoind" not in machine.ran("query")
    machine.install("--chain")
    assert "query git" not in machine.ran("query")
    assert machine.ran("apt install")[-1].endswith(" litecoind")
    machine.install("--chain")
    assert machine.log.read_text() == ""


def test_after_the_tests_a_devnet_needs_nothing_more(machine: Machine) -> None:
    machine.has(*PACKAGES, "litecoind", "git")
    machine.install("--test")
    for options in ((), ("--chain",)):
        machine.install(*options)
        assert machine.log.read_text() == ""


def test_without_a_fitting_python_it_says_so(machine: Machine) -> None:
    machine.has(*PACKAGES)
    machine.python(version_is_wrong=1)
    done = machine.install()
    assert done.returncode == 1
    assert "needs Python 3.11 or 3.12" in done.stderr
    assert machine.ran("pip") == []

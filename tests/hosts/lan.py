"""A few hosts of a network, on this machine: each has a network, processes, shared memory and a home of its own.

A host is a process in namespaces of its own, and everything in it ends with that process; a host's process ends with
this one, however this one ends. Nothing is made outside of the namespaces: the bridge that joins them is in one, too.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

USER = pwd.getpwuid(os.getuid()).pw_name
HOME = Path(pwd.getpwuid(os.getuid()).pw_dir)

_NETWORK = "10.77.0"
_SCRIPT = Path(__file__).with_name("host.sh")
_SSHD = "/usr/sbin/sshd"
_PROGRAMS = ("ip", "nsenter", "rsync", "setpriv", "ssh", "ssh-keygen", _SSHD, "unshare")
_UNSHARE = ["unshare", "--pid", "--mount-proc", "--net", "--mount", "--uts", "--ipc", "--fork", "--kill-child"]
_SSHD_CONFIG = f"""\
HostKey {HOME}/host_key
PasswordAuthentication no
PermitRootLogin prohibit-password
UsePAM yes
"""


def why_not() -> str | None:
    """Why no hosts can be made here; None if they can."""
    if os.getuid() != 0:
        return "hosts are made of network namespaces, and that needs root"
    if missing := [program for program in _PROGRAMS if shutil.which(program) is None]:
        return f"hosts need {', '.join(missing)}: apt-get install iproute2 openssh-server openssh-client rsync"
    trial = subprocess.run([*_UNSHARE, "ip", "link", "add", "lan", "type", "bridge"], capture_output=True, text=True)
    return f"no namespaces or bridges can be made here: {trial.stderr.strip()}" if trial.returncode else None


class Host:
    """One host: runs commands, and lets in by ssh."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.address = f"{_NETWORK}.{number}"
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *_UNSHARE, "sh", _SCRIPT, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"KEEP": "\n".join(sorted({sys.prefix, sys.base_prefix}))},
            text=True,
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert said == "made\n", f"the host {name} could not be made: {said}"
        outer = self._process.pid
        self.pid = int(Path(f"/proc/{outer}/task/{outer}/children").read_text())  # its first process, seen from here
        self.root = Path(f"/proc/{self.pid}/root")  # its files, seen from here
        self.home = self.root / HOME.relative_to("/")

    def start(self, let_in: str) -> None:
        """Starts its sshd, which lets in whoever has the private key to this public one."""
        self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{HOME}/host_key")
        (self.home / "sshd_config").write_text(_SSHD_CONFIG)
        (self.home / ".ssh").mkdir(mode=0o700, exist_ok=True)
        (self.home / ".ssh" / "authorized_keys").write_text(let_in)
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def inside(self, *command: str | os.PathLike[str]) -> list[str]:
        """The command as one that runs in the host when it is run here."""
        environment = [f"HOME={HOME}", f"PATH={os.environ['PATH']}", "LANG=C.UTF-8", "TERM=dumb"]
        enter = ["nsenter", "--all", "--target", str(self.pid), f"--wdns={HOME}"]
        return [*enter, "env", "-i", *environment, *map(os.fspath, command)]

    def run(self, *command: str | os.PathLike[str], timeout: float = 60.0) -> str:
        """What the command writes; it must succeed, in time."""
        with tempfile.TemporaryFile("w+") as output:
            running = subprocess.Popen(
                self.inside(*command), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
            try:
                status = running.wait(timeout)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                running.kill()
                running.wait()
            output.seek(0)
            written = output.read()
        ended = f"had not ended after {timeout:g} s" if status is None else f"ended with {status}"
        assert status == 0, f"on {self.name}, {' '.join(map(os.fspath, command))} {ended}:\n{written}"
        return written

    def commands(self) -> list[str]:
        """The command lines of all its processes but the sshd's."""
        lines = []
        for folder in (self.root / "proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                lines.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip())
        return [line for line in lines if line and not line.startswith("sshd: ")]

    def end(self) -> None:
        """Ends all that runs in it; its namespaces, with all mounts and links, end with that."""
        with contextlib.suppress(AttributeError, ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._process.communicate()


class Lan:
    """Hosts joined by a bridge, which is in the first of them."""

    def __init__(self, *names: str) -> None:
        self.hosts: list[Host] = []
        with contextlib.ExitStack() as undo:
            undo.callback(self.end)
            for number, name in enumerate(names, 1):
                self.hosts.append(Host(name, number))
            self._join()
            undo.pop_all()

    def _join(self) -> None:
        first, *others = self.hosts
        first.run("ip", "link", "add", "lan", "type", "bridge")
        first.run("ip", "address", "add", f"{first.address}/24", "dev", "lan")
        first.run("ip", "link", "set", "lan", "up")
        # Hosts have a way out, and look at it to learn their own address. Here it ends at the first one.
        first.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward && ip route add unreachable default")
        for host in others:
            self._wire(first, host)

    def _wire(self, first: Host, host: Host) -> None:
        in_its_net = ["nsenter", "--net", "--target", str(first.pid)]  # and among the processes as seen from here
        ends = ["add", host.name, "master", "lan", "type", "veth", "peer", "eth0", "netns", str(host.pid)]
        subprocess.run([*in_its_net, "ip", "link", *ends], check=True)
        host.run("ip", "address", "add", f"{host.address}/24", "dev", "eth0")
        host.run("ip", "link", "set", "eth0", "up")
        host.run("ip", "route", "add", "default", "via", first.address)
        self.link(host, "up")

    def link(self, host: Host, state: str) -> None:
        """Takes the host's link "down", or "up" again."""
        self.hosts[0].run("ip", "link", "set", host.name, state)

    def end(self) -> None:
        for host in self.hosts:
            host.end()

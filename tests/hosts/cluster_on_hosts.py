"""The shipped cluster.yaml, filled in as its user does, and brought up on hosts by `ray up`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ray
from lan import HOME, USER, Host

ROOT = Path(__file__).parents[2]

_LAPTOP_RAY = Path(sys.prefix, "bin", "ray")
_ENVIRONMENT = HOME / "raycache-env"
#: Else Ray would kill workers when the machine's memory runs short, whoever took it; and, with more of them than the
#: machine has cores, every one that was idle for a second, so that most loads would have to wait for a new process.
_RAY_OPTIONS = "RAY_memory_monitor_refresh_ms=0 RAY_num_workers_soft_limit=16"


def filled_in(head: str, workers: list[str]) -> str:
    """The file with addresses and user in it, for a raycache that comes as a wheel; the key is where it says."""
    text = (ROOT / "cluster.yaml").read_text()
    from_index, from_wheel = "- pip install --quiet ray==2.60.0 raycache ", "- pip install --quiet ray==2.60.0 ~/"
    for blank, filling in {
        "head_ip: 192.0.2.11 ": f"head_ip: {head} ",
        "worker_ips: [192.0.2.12, 192.0.2.13] ": f"worker_ips: [{', '.join(workers)}] ",
        "ssh_user: me ": f"ssh_user: {USER} ",
        "# ~/raycache-wheel: dist ": "~/raycache-wheel: dist ",
        from_index: "# " + from_index,
        "# " + from_wheel: from_wheel.replace("2.60.0", ray.__version__),
    }.items():
        assert text.count(blank) == 1, f"cluster.yaml has {text.count(blank)} times {blank!r}"
        text = text.replace(blank, filling)
    return text


def wheel(folder: Path) -> Path:
    """Makes a wheel of this checkout, whose folder is left as it is."""
    source = folder / "source"
    shutil.copytree(ROOT / "raycache", source / "raycache", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    made = folder / "dist"
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", made, source], check=True)
    return made


def give_ray(host: Host) -> None:
    """Gives a host the Python and the Ray that the tests have, as an environment without pip and raycache.

    No index can be reached from the hosts, so that what raycache needs must be there before it is installed.
    """
    python = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    host.run(python, "-m", "venv", "--without-pip", _ENVIRONMENT)
    environment = host.root / _ENVIRONMENT.relative_to("/")
    (site,) = environment.glob("lib/python3*/site-packages")
    for entry in Path(ray.__file__).parents[1].iterdir():
        if entry.suffix != ".pth" and not entry.name.startswith(("__editable__", "pip", "raycache")):
            (site / entry.name).symlink_to(entry)
    _, _, script = _LAPTOP_RAY.read_text().partition("\n")
    (environment / "bin" / "ray").write_text(f"#!{_ENVIRONMENT}/bin/python\n{script}")
    (environment / "bin" / "ray").chmod(0o755)
    (host.home / ".bashrc").write_text(f"export {_RAY_OPTIONS} PATH={python.parent}:$PATH\n")


class ClusterOnHosts:
    """A laptop with the filled-in file, and the hosts that the file names."""

    def __init__(self, laptop: Host, head: Host, *workers: Host) -> None:
        self.laptop = laptop
        self.head = head
        self.workers = workers
        self.hosts = [head, *workers]

    def prepare(self, wheels: Path) -> None:
        """What there is before `ray up`: Ray on every host, a key and a token on the laptop."""
        (self.laptop.home / ".ssh").mkdir(mode=0o700)
        self.laptop.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{HOME}/.ssh/id_ed25519")
        key = (self.laptop.home / ".ssh" / "id_ed25519.pub").read_text()
        for host in self.hosts:
            host.start(let_in=key)
            give_ray(host)
        self.laptop.run("sh", "-c", f"umask 077 && {_LAPTOP_RAY} get-auth-token --generate")
        self.token = (self.laptop.home / ".ray" / "auth_token").read_text()
        shutil.copytree(wheels, self.laptop.home / "dist")
        (self.laptop.home / "cluster.yaml").write_text(
            filled_in(self.head.address, [worker.address for worker in self.workers])
        )

    def up(self) -> str:
        return self.ray("up", "-y", "cluster.yaml", "--disable-usage-stats")

    def down(self) -> None:
        """What docs/deploy.md says to do, as Ray's local provider does not stop the workers."""
        self.ray("exec", "cluster.yaml", "raycache down --yes")
        self.ray("down", "-y", "cluster.yaml")
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda worker: self.ssh(worker, "~/raycache-env/bin/ray stop"), self.workers))

    def ray(self, *arguments: str) -> str:
        """What a `ray ...` on the laptop writes."""
        return self.laptop.run(_LAPTOP_RAY, *arguments, timeout=300.0)

    def ssh(self, host: Host, command: str) -> str:
        """What a command writes that is given to a host by ssh from the laptop."""
        options = ["-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={os.devnull}", "-o", "LogLevel=ERROR"]
        return self.laptop.run("ssh", *options, f"{USER}@{host.address}", command)

"""The Docker engine: the one that runs is used as it is; else, as root on Debian or Ubuntu, one is installed and started.

An engine started here has its data under the cache, so that images survive `down`, and everything else it makes in the machine
(firewall chains, cgroups, the forwarding switch) is taken back by `stop`.
"""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devcluster import paths
from devcluster.bounded_runc import missing_capabilities
from devcluster.shell import DevclusterError, only_one, run, say, step, succeeds, wait_for

PACKAGES = ("docker.io", "debootstrap", "iptables", "ca-certificates", "procps", "kmod")
CGROUP_PARENT = "/tandem-devcluster"
FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
SOCKET_LIMIT = 100
"""Bytes of a unix socket's path that leave room for what containerd appends (the kernel's limit is 108)."""


def own_host() -> str:
    """The address of the engine that the devcluster starts."""
    return f"unix://{paths.state_dir() / 'docker.sock'}"


def docker_env() -> dict[str, str]:
    """The environment with which `docker` (and kind, and any client) reaches the devcluster's engine.

    The classic builder is asked for because it is the one that every supported engine and client has.
    """
    host = os.environ.get("DOCKER_HOST")
    if not host and _pid():
        host = own_host()
    return {"DOCKER_BUILDKIT": "0", **({"DOCKER_HOST": host} if host else {})}


def docker(*args: str | Path, stdin: str | None = None, timeout: float | None = None) -> str:
    """The standard output of a docker command against the devcluster's engine."""
    return run("docker", *args, env=docker_env(), stdin=stdin, timeout=timeout)


def answers() -> bool:
    """Whether an engine is there: DOCKER_HOST's, the default one or our own."""
    return succeeds("docker", "version", env=docker_env())


def ensure() -> None:
    """Have an engine that answers; install and start one where there is none.

    Raises DevclusterError with what to do where that is not possible.
    """
    if answers():
        return
    if (host := os.environ.get("DOCKER_HOST", own_host())) != own_host():
        raise DevclusterError(f"DOCKER_HOST={host} does not answer: start that engine or unset it")
    if not may_install():
        raise DevclusterError(
            "no Docker engine answers. Start Docker (any engine from 20.10 on), or run this as root on Debian or Ubuntu, "
            "where an engine is installed and started by itself"
        )
    with only_one(paths.lock("engine")):
        if not answers():
            install(*PACKAGES)
            start()


def may_install() -> bool:
    """Whether Debian packages can be installed from here."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(*packages: str) -> None:
    """Install Debian packages where they are missing, without letting one start its own service.

    Raises DevclusterError with what to install where apt is not there or not allowed.
    """
    installed = {"docker.io"} if shutil.which("dockerd") else set()
    absent = [name for name in packages if name not in installed and not succeeds("dpkg", "-s", name)]
    if not absent:
        return
    if not may_install():
        raise DevclusterError(f"install {', '.join(absent)}, or run this as root on Debian or Ubuntu")
    with step(f"installing {' '.join(absent)}"), _services_stay_off():
        run("apt-get", "update", "-qq")
        # From Debian 13 on the client is a package of its own.
        client = [] if shutil.which("docker") or not succeeds("apt-cache", "show", "docker-cli") else ["docker-cli"]
        apt = ("apt-get", "install", "-y", "-qq", "--no-install-recommends")
        run(*apt, *absent, *client, env={"DEBIAN_FRONTEND": "noninteractive"})


@contextmanager
def _services_stay_off() -> Iterator[None]:
    """Debian's documented switch: policy-rc.d answers 101 (forbidden) when a package wants to start its service."""
    policy = Path("/usr/sbin/policy-rc.d")
    before = policy.read_bytes() if policy.exists() else None
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        if before is None:
            policy.unlink()
        else:
            policy.write_bytes(before)


def start() -> None:
    """Start our own engine and wait until it answers."""
    state = paths.state_dir()
    if len(str(state / "docker-exec/containerd/containerd.sock.ttrpc")) > SOCKET_LIMIT:
        raise DevclusterError(
            f"{state} is too long a path for the engine's sockets: set TANDEM_CACHE to a shorter folder"
        )
    remembered = {"forward": FORWARD.read_text().strip(), "policy": _forward_policy()}
    _notes().write_text(json.dumps(remembered))
    with step("starting the Docker engine"), (state / "dockerd.log").open("ab") as log:
        process = subprocess.Popen(_dockerd(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)

        def up() -> bool:
            if process.poll() is not None:
                raise DevclusterError(f"dockerd ended with code {process.returncode}: read {state / 'dockerd.log'}")
            return _pid() is not None and answers()

        wait_for(f"the Docker engine answers (its log: {state / 'dockerd.log'})", up, seconds=60)


def _dockerd() -> list[str]:
    """The engine's command line: nothing of it outside the cache, no bridge of its own."""
    state = paths.state_dir()
    command = [
        "dockerd",
        f"--host={own_host()}",
        f"--data-root={paths.made(paths.cache_dir() / 'docker')}",
        f"--exec-root={state / 'docker-exec'}",
        f"--pidfile={state / 'dockerd.pid'}",
        f"--cgroup-parent={CGROUP_PARENT}",
        "--bridge=none",
        # systemd's driver would want slices, and leave the groups to the machine's systemd.
        "--exec-opt=native.cgroupdriver=cgroupfs",
    ]
    lacking = missing_capabilities(Path("/proc/self/status").read_text())
    if "CAP_SYS_RESOURCE" in lacking:
        say(f"root lacks {', '.join(sorted(lacking))} here: containers run without")
        command += [f"--add-runtime=bounded={_wrapper()}", "--default-runtime=bounded"]
    return command


def _wrapper() -> Path:
    """A copy of the runtime's wrapper beside the engine, which needs it until it stops, whatever becomes of the checkout."""
    copy = paths.state_dir() / "bounded_runc.py"
    shutil.copy(paths.SOURCE / copy.name, copy)
    return copy


def stop() -> None:
    """Stop the engine that `start` started, with all it left in the machine; somebody else's engine is left alone."""
    pid = _pid()
    if pid:
        with step("stopping the Docker engine"):
            os.kill(pid, signal.SIGTERM)
            wait_for(f"dockerd (process {pid}) ends", lambda: _pid() is None, seconds=60)
    if not _notes().exists():
        return
    _remove_firewall_chains()
    _restore_forwarding()
    _remove_cgroups()
    for name in ("docker.sock", "dockerd.pid"):
        (paths.state_dir() / name).unlink(missing_ok=True)
    _remove_exec_root()
    _notes().unlink()


def _notes() -> Path:
    """How the machine's forwarding was before the engine started."""
    return paths.state_dir() / "engine.json"


def _pid() -> int | None:
    """The process id of our own engine while it runs."""
    try:
        pid = int((paths.state_dir() / "dockerd.pid").read_text())
        return pid if b"dockerd" in Path(f"/proc/{pid}/cmdline").read_bytes() else None
    except (FileNotFoundError, ValueError):
        return None


def _forward_policy() -> str:
    rules = run("iptables", "-S", "FORWARD")
    return next(line.split()[2] for line in rules.splitlines() if line.startswith("-P"))


def _remove_firewall_chains() -> None:
    """The engine leaves its chains behind when it ends: first the rules that lead there, then the chains."""
    for table in ("filter", "nat"):
        rules = run("iptables", "-t", table, "-S").splitlines()
        ours = [rule.split() for rule in rules if "DOCKER" in rule]
        for rule in ours:
            if rule[0] == "-A" and not rule[1].startswith("DOCKER"):
                run("iptables", "-t", table, "-D", *rule[1:])
        chains = [rule[1] for rule in ours if rule[0] == "-N"]
        for action in ("-F", "-X"):
            for chain in chains:
                run("iptables", "-t", table, action, chain)


def _restore_forwarding() -> None:
    before = json.loads(_notes().read_text())
    run("iptables", "-P", "FORWARD", before["policy"])
    FORWARD.write_text(before["forward"])


def _remove_exec_root() -> None:
    """The network namespace of containers on the host's network stays mounted when the engine ends."""
    root = paths.state_dir() / "docker-exec"
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for point in mounted:
        if Path(point).is_relative_to(root):
            run("umount", point)
    shutil.rmtree(root, ignore_errors=True)


def _remove_cgroups() -> None:
    """Empty control groups stay behind where systemd is not the one to make them; the innermost goes first."""

    def removed() -> bool:
        try:
            for root in Path("/sys/fs/cgroup").glob(f"**{CGROUP_PARENT}"):
                for folder, _, _ in os.walk(root, topdown=False):
                    Path(folder).rmdir()
        except OSError as error:
            raise DevclusterError(f"{error}: a process is still in it") from error
        return True

    wait_for("the containers' control groups are empty", removed, seconds=30)

"""Install the server programs that `make run STORE=…` and the tests start, each its own, where they are missing.

    python3 tools/servers.py [redis etcd …]        all of them when none is named

Nothing is done, and no right is needed, when they are there. Else it is apt-get's work and needs root; who is not root
reads the line to run. The services that Debian's packages would start are neither started nor enabled: what is started
here listens on ports of its own and keeps its data where it is told. Standard library only.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys

# name: the program that is looked for, the package that brings it, the service that the package would start
SERVERS = {
    "redis": ("redis-server", "redis-server", "redis-server.service"),
    "etcd": ("etcd", "etcd-server", "etcd.service"),
    "etcdctl": ("etcdctl", "etcd-client", ""),
    "tls": ("openssl", "openssl", ""),
}
LISTS = "/var/lib/apt/lists"
POLICY = "/usr/sbin/policy-rc.d"  # what invoke-rc.d asks before it starts a service; 101 is "no"


class Failure(Exception):
    """One line for the user: what is wrong and what to do."""


def say(message):
    print("rome: " + message, flush=True)


def missing(names):
    """Those of `names` whose program is not on the path, nor in the directories where Debian puts servers."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return [name for name in names if shutil.which(SERVERS[name][0], path=path) is None]


def apt_get(*arguments):
    """Run apt-get without questions; a failure is one line of what it said."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        ["apt-get", *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        errors = [line for line in done.stdout.splitlines() if re.match(r"(E|dpkg|Err):? ?", line)]
        said = (errors or done.stdout.splitlines() or ["it said nothing"])[-1]
        raise Failure(f"apt-get {arguments[0]} failed: {said}; look at the network and /etc/apt/sources.list")


def has_lists():
    """Whether apt knows any package; a fresh container does not."""
    try:
        return any(name.endswith(("_Packages", "_Packages.lz4", "_InRelease")) for name in os.listdir(LISTS))
    except OSError:
        return False


def install(names):
    """Install the packages of `names` without starting their services."""
    packages = [SERVERS[name][1] for name in names]
    forbids = not os.path.exists(POLICY)
    if forbids:
        with open(POLICY, "w") as file:
            file.write("#!/bin/sh\nexit 101\n")
        os.chmod(POLICY, 0o755)
    try:
        if not has_lists():
            say("apt-get update")
            apt_get("update", "-q")
        say("apt-get install " + " ".join(packages))
        try:
            apt_get("install", "-y", "-q", "--no-install-recommends", *packages)
        except Failure:  # the lists may be older than what the mirrors keep
            apt_get("update", "-q")
            apt_get("install", "-y", "-q", "--no-install-recommends", *packages)
    finally:
        if forbids:
            os.unlink(POLICY)
    services = [SERVERS[name][2] for name in names if SERVERS[name][2]]
    if services and shutil.which("systemctl"):  # nor at the next boot
        subprocess.run(["systemctl", "disable", "--quiet", *services], stderr=subprocess.DEVNULL, check=False)


def main():
    parser = argparse.ArgumentParser(description="Install the servers that ROME's tests and `make run` start.")
    parser.add_argument("names", nargs="*", metavar="name", help="of {}; default: all".format(", ".join(SERVERS)))
    wanted = parser.parse_args().names or list(SERVERS)
    unknown = [name for name in wanted if name not in SERVERS]
    if unknown:
        raise Failure(f"there is no server called {unknown[0]}: {', '.join(SERVERS)}")
    absent = missing(wanted)
    if not absent:
        return
    programs = " and ".join(SERVERS[name][0] for name in absent)
    line = "apt-get install " + " ".join(SERVERS[name][1] for name in absent)
    if shutil.which("apt-get") is None:
        raise Failure(f"{programs} must be on the path, and there is no apt-get here: install by other means")
    if os.geteuid() != 0:
        raise Failure(f"{programs} must be installed, which needs root: run `sudo {line}`")
    install(absent)
    absent = missing(absent)
    if absent:
        raise Failure(f"{SERVERS[absent[0]][0]} is still not on the path: look at `{line}`")
    say(f"{programs}: installed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit("rome: " + str(failure))
    except OSError as error:
        sys.exit(f"rome: {error.strerror}: {error.filename}")
    except KeyboardInterrupt:
        sys.exit("rome: interrupted; run it again to go on")

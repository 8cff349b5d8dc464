"""Make, or bring up to date, the virtual environment in which the Makefile's targets run.

    python3 tools/environment.py --venv .venv --extras glance,lmdb,test [--replace SQLAlchemy==2.0.52]

Nothing is done when the environment already holds these extras for the same pyproject.toml, setup.py and
constraints.txt: the stamp in it says so. pip's output goes to a log in the environment; a failure prints one line that
says what to do. Standard library only, and syntax that an older
Python can read, so that it can say which one is needed.
"""

import argparse
import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

OLDEST_PYTHON = (3, 11)
FREE_BYTES_WANTED = 700 * 1024 * 1024
INPUTS = ("pyproject.toml", "setup.py", "constraints.txt")
STAMP = "rome-environment.json"
LOG = "rome-environment.log"

# What an extra of pyproject.toml needs more: packages alone in a directory of their own, .venv/sqlalchemy-2.0.52, which
# a process that wants them puts first on its PYTHONPATH; and source distributions, unpacked in .venv/source.
BESIDE = {"test": ("SQLAlchemy==2.0.52",)}
SOURCES = {"test": ("SQLAlchemy==2.1.9",)}

# What a line of pip's output means to the one who waits for it, most telling first.
CAUSES = (
    (r"No space left on device", "no room is left on the disk: free about 1 GB and run it again"),
    (
        r"(error: command '.*(gcc|cc|clang)'|unable to execute '.*cc'|[Nn]o such file or directory: '?(gcc|cc)'?"
        r"|Python\.h: No such file|pkg-config: not found|mysql_config|pg_config)",
        "a package had to be compiled and no compiler or header was found: "
        "apt-get install gcc python3-dev (and, for the benchmark's drivers, run `make bench-deps`)",
    ),
    (
        r"(Temporary failure in name resolution|Network is unreachable|ConnectTimeout|NewConnectionError"
        r"|Could not fetch URL|Connection refused)",
        "the package index cannot be reached: look at the network, or at pip's index-url and proxy settings",
    ),
    (
        r"that satisfies the requirement (\S+) \(from versions: none\)",
        "no package index that pip knows has {0}: look at the network, or at pip's index-url and proxy settings",
    ),
    (r"No matching distribution found for (\S+)", "the package index has no such version: {0}"),
    (r"(ResolutionImpossible|conflicting dependencies)", "the pinned versions contradict each other"),
)


class Failure(Exception):
    """One line for the user: what is wrong and what to do."""


def say(message):
    print("rome: " + message, flush=True)


def digest(root, replaced):
    """What the environment is made from, as one hexadecimal digest."""
    found = hashlib.sha256(repr((sorted(replaced), BESIDE, SOURCES)).encode())
    for name in INPUTS:
        with open(os.path.join(root, name), "rb") as file:
            found.update(file.read())
    return found.hexdigest()


def read_stamp(venv):
    """(digest, extras) of what the environment holds; ("", set()) when there is none that this Python can use."""
    try:
        with open(os.path.join(venv, STAMP)) as file:
            stamp = json.load(file)
        digest_then, extras, python = stamp["digest"], set(stamp["extras"]), tuple(stamp["python"])
    except (OSError, ValueError, KeyError):
        return "", set()
    if python != sys.version_info[:3] or not os.path.exists(os.path.join(venv, "bin", "python")):
        return "", set()
    return digest_then, extras


def create(venv):
    """An empty environment at `venv`, in place of a broken or outdated one."""
    shutil.rmtree(venv, ignore_errors=True)
    say("making {} with Python {}.{}.{}".format(os.path.relpath(venv), *sys.version_info[:3]))
    made = subprocess.run([sys.executable, "-m", "venv", venv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if made.returncode:
        shutil.rmtree(venv, ignore_errors=True)
        if b"ensurepip" in made.stdout:
            raise Failure("this Python has no ensurepip: apt-get install python3-venv, or set PYTHON to another one")
        raise Failure("the environment could not be made: " + made.stdout.decode(errors="replace").strip()[-200:])


def constraints(root, venv, replaced):
    """The path of the constraints to use: constraints.txt, with the pins of `replaced` exchanged."""
    names = {re.split(r"[=<>~!]", pin)[0].lower() for pin in replaced}
    with open(os.path.join(root, "constraints.txt")) as file:
        kept = [line for line in file if line.split("==")[0].lower() not in names]
    path = os.path.join(venv, "constraints.txt")
    with open(path, "w") as file:
        file.writelines(kept + [pin + "\n" for pin in replaced])
    return path


def install(root, venv, extras, replaced):
    """pip install the checkout, editable, with `extras`."""
    names = ",".join(sorted(extras))
    with open(os.path.join(venv, LOG), "w"):
        pass  # a log of this time only
    say(f"installing ROME with its extras {names} (the first time this takes a minute or two)")
    pip(venv, ["install", "--constraint", constraints(root, venv, replaced), "--editable", f"{root}[{names}]"])


def install_beside(venv, pin):
    """One package alone, in the directory `name-version` of the environment."""
    target = os.path.join(venv, pin.lower().replace("==", "-"))
    shutil.rmtree(target, ignore_errors=True)
    say(f"installing {pin} in a directory of its own")
    pip(venv, ["install", "--no-deps", "--target", target, pin])


def unpack_source(venv, pin):
    """A source distribution, in the directory `source` of the environment."""
    directory = os.path.join(venv, "source")
    say(f"unpacking the source distribution of {pin}")
    with tempfile.TemporaryDirectory() as downloads:
        pip(venv, ["download", "--no-deps", "--no-binary", ":all:", "--dest", downloads, pin])
        for name in os.listdir(downloads):
            with tarfile.open(os.path.join(downloads, name)) as archive:
                # Python 3.11 has filters from 3.11.4 on; pip has compared the archive's digest with the index's.
                archive.extractall(directory, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))


def pip(venv, arguments):
    """Run pip; its progress is one line, rewritten on a terminal."""
    command = [
        os.path.join(venv, "bin", "python"), "-m", "pip", "--no-input", "--disable-pip-version-check", *arguments
    ]  # fmt: skip
    log = os.path.join(venv, LOG)
    collected = 0
    with open(log, "a") as file:
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
        for line in running.stdout:
            file.write(line)
            collected += line.startswith("Collecting ")
            if sys.stdout.isatty():
                step = "unpacking and linking" if line.startswith("Installing collected") else line.split(" (")[0]
                sys.stdout.write(f"\r\x1b[Krome: {collected:3d} packages  {step.strip()[:60]}")
                sys.stdout.flush()
    if sys.stdout.isatty():
        sys.stdout.write("\r\x1b[K")
    if running.wait():
        raise Failure(f"{cause(log)} (all of pip's output: {os.path.relpath(log)})")


def cause(log):
    """Why pip failed, in words."""
    with open(log, errors="replace") as file:
        output = file.read()
    for pattern, words in CAUSES:
        found = re.search(pattern, output)
        if found:
            return words.format(found.group(1) if found.groups() else "")
    errors = [line for line in output.splitlines() if line.startswith("ERROR")]
    return errors[-1] if errors else "pip failed"


def main():
    parser = argparse.ArgumentParser(description="Make or update a virtual environment with ROME in it.")
    parser.add_argument("--venv", default=".venv")
    parser.add_argument("--extras", default="glance,lmdb", help="comma-separated extras of pyproject.toml")
    parser.add_argument("--replace", action="append", default=[], help="a pin to use instead of constraints.txt's")
    options = parser.parse_args()
    if sys.version_info < OLDEST_PYTHON:
        raise Failure(
            "Python 3.11 or newer is needed and {} is {}.{}: run `make PYTHON=python3.11 ...`".format(
                sys.executable, *sys.version_info[:2]
            )
        )
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    venv = os.path.abspath(options.venv)
    wanted = set(options.extras.split(","))
    now = digest(root, options.replace)
    then, present = read_stamp(venv)
    if then == now and wanted <= present:
        return
    if not then:
        if shutil.disk_usage(os.path.dirname(venv)).free < FREE_BYTES_WANTED:
            raise Failure(f"less than 700 MB are free on the disk of {venv}: free some and run it again")
        create(venv)
    install(root, venv, wanted | present, options.replace)
    for extra in sorted(wanted | present):
        for pin in BESIDE.get(extra, ()):
            install_beside(venv, pin)
        for pin in SOURCES.get(extra, ()):
            unpack_source(venv, pin)
    with open(os.path.join(venv, STAMP), "w") as file:
        json.dump({"python": sys.version_info[:3], "digest": now, "extras": sorted(wanted | present)}, file)
    say(f"{os.path.relpath(venv)} is ready")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit("rome: " + str(failure))
    except OSError as error:
        full = error.errno == errno.ENOSPC
        sys.exit("rome: " + (CAUSES[0][1] if full else f"{error.strerror}: {error.filename}"))
    except KeyboardInterrupt:
        sys.exit("rome: interrupted; run it again to go on")

"""`make matrix`: the tests on every Python found, with the oldest and the newest SQLAlchemy, as one table.

    python3 tools/matrix.py [--only 3.13] [what pytest takes: paths, -k, -x …]

Each cell has an environment of its own under build/matrix, kept for the next time. The exit status is 1 when any cell
failed; an interpreter that is not installed is a row that says so, and no failure.
"""

import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import time

PYTHONS = ("3.11", "3.12", "3.13")
SQLALCHEMYS = ("2.0.52", "2.1.9")
EXTRAS = "glance,lmdb,nova,redis,etcd,plots,test"
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def find_python(version):
    """The path of an interpreter of `version` that runs, on the PATH or in pyenv; None when there is none."""
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    installed = sorted(glob.glob(os.path.join(pyenv, "versions", version + ".*", "bin", "python")), reverse=True)
    for path in [shutil.which("python" + version), *installed]:
        if path:
            asked = subprocess.run([path, "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if asked.returncode == 0 and asked.stdout.decode().startswith("Python " + version):
                return path
    return None


def run_cell(python, version, sqlalchemy, arguments):
    """Make the environment and run the tests in it; (passed, pytest's last line)."""
    venv = os.path.join(ROOT, "build", "matrix", f"python{version}-sqlalchemy{sqlalchemy}")
    os.makedirs(os.path.dirname(venv), exist_ok=True)
    made = subprocess.run(
        [python, os.path.join(ROOT, "tools", "environment.py"), "--venv", venv, "--extras", EXTRAS,
         "--replace", f"SQLAlchemy=={sqlalchemy}"]
    )
    if made.returncode:
        return False, "no environment"
    begun = time.monotonic()
    log = venv + ".log"
    with open(log, "w") as file:
        command = [os.path.join(venv, "bin", "python"), "-m", "pytest", "-q", "-n", "2", "--dist", "loadscope"]
        status = subprocess.run(command + arguments, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT).returncode
    with open(log, errors="replace") as file:
        summaries = re.findall(r"^=* ?(\d+ .*) in [0-9.]+s", file.read(), re.M)
    summary = summaries[-1] if summaries else "no summary"
    where = "" if status == 0 else f" ({os.path.relpath(log, ROOT)})"
    return status == 0, f"{summary}{where} in {time.monotonic() - begun:.0f} s"


def main():
    parser = argparse.ArgumentParser(description="Run the tests on every Python with the oldest and newest SQLAlchemy.")
    parser.add_argument("--only", help="one Python version, such as 3.13")
    options, arguments = parser.parse_known_args()
    rows = []
    for version in [options.only] if options.only else PYTHONS:
        python = find_python(version)
        for sqlalchemy in SQLALCHEMYS:
            passed, said = run_cell(python, version, sqlalchemy, arguments) if python else (None, "not installed")
            mark = {True: "pass", False: "FAIL", None: "-"}[passed]
            rows.append((f"Python {version}", f"SQLAlchemy {sqlalchemy}", mark, said))
            print("rome: " + "  ".join(rows[-1]), flush=True)
    widths = [max(map(len, column)) for column in zip(*rows)]
    print("\n" + "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)) for row in rows))
    sys.exit(any(mark == "FAIL" for _, _, mark, _ in rows))


if __name__ == "__main__":
    main()

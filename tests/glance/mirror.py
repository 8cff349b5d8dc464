"""A directory from which Glance's own tests run as they would from a checkout.

Glance's wheel ships its tests, and they expect a checkout's layout around them: `etc/metadefs` beside the package, and
the working directory at the root. The mirror is that layout, made of symbolic links into the installed wheel, so that
nothing of Glance is copied and nothing is written into the installation.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path


def make_mirror(root: Path) -> Path:
    """Fill the empty directory `root` with links to the installed Glance and return it."""
    found = importlib.util.find_spec("glance")
    assert found is not None and found.submodule_search_locations, "Glance is not installed: pip install glance==33.0.0"
    package = Path(found.submodule_search_locations[0])
    for directory, subdirectories, files in os.walk(package):
        subdirectories[:] = [name for name in subdirectories if name != "__pycache__"]
        # Real directories and linked files: through a linked directory `..` would lead back into the installation.
        mirrored = root / "glance" / Path(directory).relative_to(package)
        mirrored.mkdir(parents=True)
        for name in files:
            (mirrored / name).symlink_to(Path(directory) / name)
    (root / "etc").symlink_to(Path(sys.prefix) / "etc" / "glance")
    return root

"""Where the packages lie; everything else about the distribution stands in pyproject.toml.

`lib` is the source root of `rome`, so that the checkout's root on `sys.path` never makes `rome` importable under two
names; `glance_compat` lies at the root beside it.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages("lib"), *find_packages(".", include=["glance_compat", "glance_compat.*"])],
    package_dir={"": "lib", "glance_compat": "glance_compat"},
    package_data={
        "rome": ["py.typed", "**/*.lua", "**/*.golden"],
        "glance_compat": ["**/*.ini", "**/*.conf", "**/*.yaml"],
    },
)

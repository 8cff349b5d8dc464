"""`python -m glance_compat` is `glance-on-rome`."""

from glance_compat.command import main

main()

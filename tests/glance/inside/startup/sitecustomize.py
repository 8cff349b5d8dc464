"""Python imports this at its start in every process of the REST suite: pytest's, and the commands that tests run."""

import os

from tests.glance.inside.redirect import redirect_sqlite_files

redirect_sqlite_files(os.environ["ROME_GLANCE_REST_URL"])

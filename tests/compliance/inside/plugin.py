"""SQLAlchemy's pytest plugin, as `-p` takes it: its assertions are to be rewritten before anything imports them."""

import pytest

pytest.register_assert_rewrite("sqlalchemy.testing.assertions")

from sqlalchemy.testing.plugin.pytestplugin import *  # noqa: E402, F403

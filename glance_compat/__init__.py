"""Glance on ROME: thin bindings around an unmodified Glance.

| module | gives |
|---|---|
| `models` | Glance's own model classes, for use with `rome.orm.Session` or any SQLAlchemy session |
| `db` | `connect(url)`: Glance's own DB API bound to a URL; `create_schema(url)` |
| `command` | the console command `glance-on-rome`, also `python -m glance_compat` |
| `state`, `schema`, `server`, `proof`, `client` | what the command is made of |
| `trusted` | a paste filter that lets a request name its own tenant, in place of Keystone |

Nothing of Glance is copied: every class and function of Glance's that is used here is the one in its wheel. Importing
this package imports nothing, so that a WSGI worker pays for Glance once.
"""

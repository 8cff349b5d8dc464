"""A paste filter for servers without Keystone: a request says itself which tenant it speaks for.

Keystone's middleware would check a token and then set the headers `X-Identity-Status: Confirmed`, `X-Project-Id`,
`X-User-Id` and `X-Roles`. Here the caller sets them, and a caller that sets none (curl, `openstack --os-auth-type
none`) speaks for the tenant that the paste file names. Anyone who can reach the port is believed, so it is meant for
a server that listens on this machine only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def filter_factory(
    global_conf: dict[str, str], project: str = "demo", roles: str = "admin,member,reader"
) -> Callable[[WsgiApp], WsgiApp]:
    """What paste calls; `project` and `roles` are what a caller gets who names no project.

    A caller who names a project and no roles is an ordinary member of it.
    """

    def trust(app: WsgiApp) -> WsgiApp:
        def respond(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            if "HTTP_X_PROJECT_ID" not in environ:
                environ["HTTP_X_PROJECT_ID"] = project
                environ["HTTP_X_ROLES"] = roles
            environ.setdefault("HTTP_X_ROLES", "member,reader")
            environ.setdefault("HTTP_X_USER_ID", environ["HTTP_X_PROJECT_ID"])
            environ["HTTP_X_IDENTITY_STATUS"] = "Confirmed"
            return app(environ, start_response)

        return respond

    return trust

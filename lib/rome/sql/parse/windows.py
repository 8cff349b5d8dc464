"""Windows: what stands behind OVER, and the WINDOW clause."""

from __future__ import annotations

from sqlglot import exp

from rome.sql import syntax
from rome.sql.parse.allow import EXPRESSIONS, only
from rome.sql.parse.expressions import expression, expressions, identifier, order_items
from rome.sql.parse.source import Source


@EXPRESSIONS.takes(exp.Window, "this", "partition_by", "order", "spec", "alias", "over")
def _window(source: Source, node: exp.Window) -> syntax.Expression:
    called = expression(source, node.this)
    if not isinstance(called, syntax.Function):
        raise source.wrong(node, "OVER belongs to a function")
    if node.args.get("over"):
        return syntax.Window(called, identifier(source, node.args["alias"]), at=called.at)
    return syntax.Window(called, _definition(source, node), at=called.at)


def named_windows(source: Source, nodes: list[exp.Expr]) -> tuple[tuple[str, syntax.WindowDefinition], ...]:
    """The WINDOW clause: names and what they stand for."""
    found: dict[str, tuple[str, syntax.WindowDefinition]] = {}
    for node in nodes:
        only(source, node, "this", "partition_by", "order", "spec", "alias")
        name = identifier(source, node.this)
        if name.lower() in found:
            raise source.wrong(node.this, f"the window {name!r} is defined twice")
        found[name.lower()] = (name, _definition(source, node))
    return tuple(found.values())


def _definition(source: Source, node: exp.Expr) -> syntax.WindowDefinition:
    base = node.args.get("alias")
    return syntax.WindowDefinition(
        base=None if base is None else identifier(source, base),
        partition_by=expressions(source, node.args.get("partition_by") or []),
        order_by=order_items(source, node.args.get("order")),
        frame=_frame(source, node.args.get("spec")),
        at=source.start(node),
    )


def _frame(source: Source, node: exp.Expr | None) -> syntax.Frame | None:
    if node is None:
        return None
    only(source, node, "kind", "start", "start_side", "end", "end_side", "exclude")
    source.taken.update(node.meta["words"])
    at = source.start(node)
    start = _bound(source, node, "start", at)
    # without BETWEEN the frame ends at the current row
    end = _bound(source, node, "end", at) if node.args.get("end") else syntax.FrameBound("CURRENT ROW", at=at)
    return syntax.Frame(node.args["kind"], start, end, node.args.get("exclude") or "NO OTHERS", at=at)


def _bound(source: Source, node: exp.Expr, side: str, at: int) -> syntax.FrameBound:
    value, direction = node.args[side], node.args.get(f"{side}_side")
    if isinstance(value, exp.Expr):
        return syntax.FrameBound(str(direction), expression(source, value), at=at)
    return syntax.FrameBound(f"{value} {direction}" if direction else str(value), at=at)

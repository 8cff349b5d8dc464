"""EXPLAIN: a plan as lines of text, one operator a line, inputs indented below it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rome.driver.api import Patience
from rome.sql import plan
from rome.sql.aggregates import AGGREGATES
from rome.sql.bound import (
    Aggregate,
    And,
    Arithmetic,
    Call,
    Case,
    Cast,
    ColumnRef,
    Compare,
    Const,
    Expr,
    Frame,
    InArray,
    InList,
    InRows,
    IsNull,
    Like,
    Negate,
    NextValue,
    Not,
    Or,
    OuterRef,
    Slot,
    WindowCall,
)
from rome.sql.execute.joins import Lookup, LookupJoin
from rome.sql.execute.operator import Operator, Profile
from rome.sql.execute.streams import LookupStream
from rome.txn.transaction import Stats


def lines(root: Operator, queries: Sequence[Operator], profile: Profile | None) -> list[str]:
    """The plan of a statement; with `profile`, what each operator did."""
    text = _operator(root, 0, profile)
    for number, query in enumerate(queries):
        text.append(f"Subquery {number}, run first")
        text += _operator(query, 1, profile)
    return text


def total(before: Stats, after: Stats, milliseconds: float) -> str:
    """The last line of EXPLAIN ANALYZE; with the reads made for statements to come, and those made for this one."""
    waves, keys, size = (
        after.waves - before.waves,
        after.keys - before.keys,
        after.bytes_read - before.bytes_read,
    )
    ahead = "".join(
        f" {name}={count}"
        for name, count in (
            ("read-ahead", after.read_ahead - before.read_ahead),
            ("from-ahead", after.from_ahead - before.from_ahead),
        )
        if count
    )
    return f"Total: waves={waves} keys={keys} bytes={size}{ahead} time={milliseconds:.2f} ms"


def _operator(operator: Operator, depth: int, profile: Profile | None) -> list[str]:
    text = "  " * depth + _describe(operator.node)
    if profile is not None:
        measure = profile.of(operator)
        text += (
            f"  [rows={measure.rows} waves={measure.waves} keys={measure.keys} "
            f"runs={measure.calls} time={measure.milliseconds:.2f} ms]"
        )
    found = [text]
    for child in operator.children:
        found += _operator(child, depth + 1, profile)
    if isinstance(operator, (LookupJoin, LookupStream)):
        found += ["  " * (depth + 1) + _looked_up(lookup) for lookup in operator.lookups]
    return found


def _looked_up(lookup: Lookup) -> str:
    node = lookup.node
    condition = f" ON {show(node.condition)}" if node.condition is not None else ""
    brought = ", brought along" * (lookup.brought or lookup.brought_from_afar) + " from afar" * lookup.brought_from_afar
    before = ", nearby before the rows if it finds few" * (lookup.reduces is not None)
    return f"{node.kind} {_describe(node.right)}{condition}{brought}{before}"


def _describe(node: plan.Plan) -> str:
    match node:
        case plan.Scan():
            return _scan(node)
        case plan.Counted():
            less = f", less {_scan(node.less)[5:]}" if node.less is not None else ""
            null = ", less NULL" if node.null is not None else ""
            return "Count keys of " + _scan(node.found)[5:] + less + null
        case plan.Rows():
            return f"Rows {len(node.rows)}"
        case plan.Filter():
            return f"Filter {show(node.condition)}"
        case plan.Project():
            return f"Project {_listed(node.expressions)}"
        case plan.Join():
            if node.lookup:
                return "Lookup join, all in one wave"
            return f"Hash join {node.kind}" + (f" ON {show(node.condition)}" if node.condition is not None else "")
        case plan.Apply():
            operand = f" {show(node.operand)} IN" if node.operand is not None else ""
            return f"Apply {node.kind}{operand} as #{node.column.column}"
        case plan.LateralJoin():
            return f"Lateral join {node.kind}" + (f" ON {show(node.condition)}" if node.condition is not None else "")
        case plan.Group():
            return f"Group by ({_listed(node.keys)}) compute ({_listed(node.aggregates)})"
        case plan.Window():
            return "Window " + _listed(node.calls)
        case plan.StreamScan():
            return "Stream of " + _scan(node.ordered)[5:]
        case plan.Race():
            return "Race of a stream, and what follows if that has few"
        case plan.FewestEntries():
            return "Whichever of these has the fewest entries"
        case plan.LookupIfFew():
            return "The first way if it begins with few entries, else the second"
        case plan.FirstRows():
            return f"First rows by {_sort_keys(node.keys)}, streamed; sorted when few pass"
        case plan.Sort():
            return "Sort " + _sort_keys(node.keys)
        case plan.Limit():
            parts = [f"{name} {show(part)}" for name, part in (("LIMIT", node.limit), ("OFFSET", node.offset)) if part]
            return "Limit " + " ".join(parts) + " PERCENT" * node.percent + " WITH TIES" * bool(node.ties)
        case plan.Lock():
            patience = {Patience.WAIT: "", Patience.NOWAIT: " NOWAIT", Patience.SKIP: " SKIP LOCKED"}[node.patience]
            return "Lock " + ", ".join(target.alias for target in node.targets) + patience
        case plan.SetOperation():
            return node.kind.capitalize() + (" ALL" if node.all else "")
        case plan.Insert(conflict=plan.OnConflict() as conflict):
            names = ", ".join((key.name or "-") if key else "the primary key" for key in conflict.keys)
            where = f" where {show(conflict.condition)}" if conflict.condition is not None else ""
            return f"Insert {node.table.name}, {'update' if conflict.places else 'skip'} on conflict in {names}{where}"
        case plan.Recursive():
            return f"Recursive {node.name}, UNION" + " ALL" * node.all
        case plan.WorkingTable():
            return f"Rows of {node.name} that came last"
        case plan.Shared():
            return f"Rows of {node.name}, run first as {show(node.slot)}"
        case plan.Insert() | plan.Update() | plan.Delete():
            return f"{type(node).__name__} {node.table.name}"
    return type(node).__name__


def _scan(node: plan.Scan) -> str:
    name = node.table.name if node.alias == node.table.name else f"{node.table.name} AS {node.alias}"
    access = node.access
    columns = node.table.primary_key if access.index is None else access.index.columns
    names = node.table.names(columns)
    index = "primary key" if access.index is None else f"index {access.index.name or ', '.join(names)}"
    terms = []
    for at, values in enumerate(access.equals):
        terms += [_equality(names[at], each) for each in (values, *(access.within[at] if access.within else ()))]
    for bound, sign, widest in ((access.low, ">", "least"), (access.high, "<", "greatest")):
        if bound is not None:
            end = show(bound.value) if not bound.others else f"{widest} of {_listed((bound.value, *bound.others))}"
            terms.append(f"{names[len(access.equals)]} {sign}{'=' * bound.inclusive} {end}")
    how = f"by {index} ({' AND '.join(terms)})" if terms else f"whole, by {index}"
    text = f"Scan {name} {how}" + (" backwards" if access.reverse else "")
    return text + (f" where {show(node.residual)}" if node.residual is not None else "")


def _equality(column: str, values: tuple[Expr, ...]) -> str:
    one = values[0]
    if isinstance(one, IsNull):
        return f"{column} IS NULL"
    return f"{column} = {show(one)}" if len(values) == 1 else f"{column} IN ({_listed(values)})"


def _sort_keys(keys: Iterable[plan.SortKey]) -> str:
    return ", ".join(show(key.expression) + " DESC" * key.descending for key in keys)


def _listed(parts: Iterable[Expr]) -> str:
    return ", ".join(show(part) for part in parts)


def show(node: Expr) -> str:
    """An expression as text for people; slots are $n."""
    match node:
        case ColumnRef():
            return node.name or f"#{node.column}"
        case NextValue(sequence=sequence):
            return f"NEXT VALUE FOR {sequence}"
        case OuterRef():
            return f"outer.{node.name}"
        case Const():
            return "NULL" if node.value is None else repr(node.value)
        case Slot():
            return f"${node.index}"
        case Compare() | Arithmetic():
            return f"{show(node.left)} {node.op} {show(node.right)}"
        case And():
            return " AND ".join(f"({show(item)})" if isinstance(item, Or) else show(item) for item in node.items)
        case Or():
            return " OR ".join(show(item) for item in node.items)
        case Not():
            return f"NOT ({show(node.operand)})"
        case Negate():
            return f"-{show(node.operand)}"
        case IsNull():
            return f"{show(node.operand)} IS NULL"
        case InList():
            return f"{show(node.operand)} IN ({_listed(node.items)})"
        case InArray():
            return f"{show(node.operand)} IN ${node.slot.index}"
        case InRows():
            return f"({_listed(node.operands)}) IN {show(node.rows)}"
        case Like():
            return f"{show(node.operand)} LIKE {show(node.pattern)}"
        case Case():
            whens = " ".join(f"WHEN {show(when)} THEN {show(then)}" for when, then in node.whens)
            return f"CASE {whens} ELSE {show(node.default)} END"
        case Cast():
            return f"CAST({show(node.operand)} AS {node.type})"
        case Call(name="||" | "->" | "->>"):
            return f" {node.name} ".join(map(show, node.arguments))
        case Call():
            return f"{node.name}({_listed(node.arguments)})"
        case Aggregate():
            inner = _listed(node.arguments) or "*"
            keys = [show(key) + " DESC" * down for key, (down, _) in zip(node.order, node.directions, strict=True)]
            order = f" ORDER BY {', '.join(keys)}" if keys else ""
            return f"{node.name}({'DISTINCT ' * node.distinct}{inner}{order})"
        case WindowCall():
            return _window(node)
    return type(node).__name__


def _window(node: WindowCall) -> str:
    """A call over a window; the frame only where it is not the usual one."""
    kept = f" FILTER (WHERE {show(node.filter)})" if node.filter is not None else ""
    parts = []
    if node.partition:
        parts.append(f"PARTITION BY {_listed(node.partition)}")
    if node.order:
        keys = [show(key) + " DESC" * down for key, (down, _) in zip(node.order, node.directions, strict=True)]
        parts.append(f"ORDER BY {', '.join(keys)}")
    frame = node.frame
    if frame != Frame():
        bounds = ((frame.start, node.start), (frame.end, node.end))
        start, end = [f"{show(offset)} {bound}" if offset is not None else bound for bound, offset in bounds]
        exclude = f" EXCLUDE {frame.exclude}" if frame.exclude != Frame().exclude else ""
        parts.append(f"{frame.kind} BETWEEN {start} AND {end}{exclude}")
    arguments = _listed(node.arguments) or "*" * (node.name in AGGREGATES)
    return f"{node.name}({arguments}){kept} OVER ({' '.join(parts)})"

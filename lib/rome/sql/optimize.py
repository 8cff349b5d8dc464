"""The optimizer: rules that rewrite a plan into one that means the same and costs fewer round trips and keys.

`RULES` is applied once, in order. Every rule is a function from plan to plan; what each does, and why it may, stands
in its docstring. EXPLAIN shows the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from rome.sql.access import MOST_NARROW, Candidate, best, finds_few, is_volatile, narrowing, with_access
from rome.sql.bound import (
    And,
    Call,
    Case,
    Cast,
    ColumnRef,
    Compare,
    Const,
    Expr,
    InArray,
    InList,
    InRows,
    IsNull,
    Like,
    Not,
    Or,
    columns_of,
    conjunction,
    conjuncts,
    substituted,
    transform,
    walk,
)
from rome.sql.counting import count_keys
from rome.sql.distribute import distribute_joins
from rome.sql.order import read_in_order, stream_first_rows
from rome.sql.plan import (
    Apply,
    Counted,
    Distinct,
    FewestEntries,
    Filter,
    FirstRows,
    Group,
    Join,
    LateralJoin,
    Limit,
    Lock,
    LookupIfFew,
    Plan,
    Project,
    Rows,
    Scan,
    SetOperation,
    Shared,
    Sort,
    Window,
    WorkingTable,
    inputs,
    over_inputs,
)


def optimize(plan: Plan) -> Plan:
    """`plan`, rewritten by every rule in order."""
    for rule in RULES:
        plan = rule(plan)
    return plan


# ---- conditions go down --------------------------------------------------------------------------------------------


def push_conditions_down(plan: Plan) -> Plan:
    """Put every condition as near to its tables as its columns allow.

    A LEFT JOIN whose right side a condition above requires not to be NULL becomes an INNER one on the way.
    """
    return _push(plan, [])


def _push(plan: Plan, parts: Sequence[Expr]) -> Plan:
    pusher = _PUSHERS.get(type(plan))
    if pusher is not None:
        return pusher(plan, list(parts))
    return _filtered(over_inputs(plan, push_conditions_down), list(parts))


def _filtered(plan: Plan, parts: list[Expr]) -> Plan:
    condition = conjunction(parts)
    return plan if condition is None else Filter(plan, condition)


def _push_filter(plan: Filter, parts: list[Expr]) -> Plan:
    return _push(plan.child, conjuncts(plan.condition) + parts)


def _push_scan(plan: Scan, parts: list[Expr]) -> Plan:
    condition = conjunction(conjuncts(plan.condition) + parts)
    return replace(plan, condition=condition, residual=condition)


def _push_project(plan: Project, parts: list[Expr]) -> Plan:
    meaning = {column.column: part for column, part in zip(plan.output, plan.expressions, strict=True)}
    down, stay = _divide(parts, lambda part: not any(is_volatile(meaning[number]) for number in columns_of(part)))
    return _filtered(replace(plan, child=_push(plan.child, [substituted(part, meaning) for part in down])), stay)


def _push_distinct(plan: Distinct | Sort, parts: list[Expr]) -> Plan:
    return replace(plan, child=_push(plan.child, parts))


def _push_apply(plan: Apply, parts: list[Expr]) -> Plan:
    down, stay = _divide(parts, lambda part: plan.column.column not in columns_of(part))
    child = _push(plan.child, down)
    return _filtered(replace(plan, child=child, query=push_conditions_down(plan.query)), stay)


def _push_lateral(plan: LateralJoin, parts: list[Expr]) -> Plan:
    """To the left what is about it alone; the right side is another one for each of its rows."""
    own = {column.column for column in plan.left.output}
    down, stay = _divide(parts, lambda part: columns_of(part) <= own)
    left, right = _push(plan.left, down), push_conditions_down(plan.right)
    return _filtered(replace(plan, left=left, right=right), stay)


def _push_group(plan: Group, parts: list[Expr]) -> Plan:
    keys = {column.column: key for column, key in zip(plan.output, plan.keys, strict=False)}
    down, stay = _divide(parts, lambda part: bool(keys) and columns_of(part) <= keys.keys())
    return _filtered(replace(plan, child=_push(plan.child, [substituted(part, keys) for part in down])), stay)


def _push_window(plan: Window, parts: list[Expr]) -> Plan:
    """Only conditions on what every window is partitioned by: they take away whole partitions."""
    own = [{part.column for part in call.partition if isinstance(part, ColumnRef)} for call in plan.calls]
    shared = set.intersection(*own)
    down, stay = _divide(parts, lambda part: bool(columns_of(part)) and columns_of(part) <= shared)
    return _filtered(replace(plan, child=_push(plan.child, down)), stay)


def _push_set_operation(plan: SetOperation, parts: list[Expr]) -> Plan:
    sides = []
    for side in (plan.left, plan.right):
        meaning: dict[int, Expr] = {
            column.column: own if own.type.kind is column.type.kind else Cast(own, column.type)
            for column, own in zip(plan.output, side.output, strict=True)
        }
        sides.append(_push(side, [substituted(part, meaning) for part in parts]))
    return replace(plan, left=sides[0], right=sides[1])


def _push_join(plan: Join, parts: list[Expr]) -> Plan:
    left_columns = {column.column for column in plan.left.output}
    right_columns = {column.column for column in plan.right.output}
    kind = plan.kind
    if kind == "LEFT" and any(_refuses_null(part, right_columns) for part in parts):
        kind = "INNER"
    on = conjuncts(plan.condition)
    if kind == "INNER":
        on, parts = on + parts, []
    left: list[Expr] = []
    right: list[Expr] = []
    if kind != "FULL":
        if kind == "INNER":
            left, on = _divide(on, lambda part: columns_of(part) <= left_columns)
        else:
            left, parts = _divide(parts, lambda part: columns_of(part) <= left_columns)
        right, on = _divide(on, lambda part: columns_of(part) <= right_columns and bool(columns_of(part)))
    joined = replace(
        plan,
        kind=kind,
        left=_push(plan.left, left),
        right=_push(plan.right, right),
        condition=conjunction(on),
    )
    return _filtered(joined, parts)


_PUSHERS: dict[type, Callable[..., Plan]] = {
    Filter: _push_filter,
    Scan: _push_scan,
    Project: _push_project,
    Distinct: _push_distinct,
    Sort: _push_distinct,
    Apply: _push_apply,
    Group: _push_group,
    SetOperation: _push_set_operation,
    Join: _push_join,
    LateralJoin: _push_lateral,
    Window: _push_window,
}


def _divide(parts: Iterable[Expr], test: Callable[[Expr], bool]) -> tuple[list[Expr], list[Expr]]:
    """The parts that pass `test` and are no game of chance, and the others."""
    passed: list[Expr] = []
    others: list[Expr] = []
    for part in parts:
        (passed if not is_volatile(part) and test(part) else others).append(part)
    return passed, others


def _refuses_null(part: Expr, columns: set[int]) -> bool:
    """Whether `part` cannot be true when all of `columns` are NULL."""
    if isinstance(part, And):
        return any(_refuses_null(item, columns) for item in part.items)
    if isinstance(part, Or):
        return all(_refuses_null(item, columns) for item in part.items)
    if isinstance(part, Not):
        return isinstance(part.operand, IsNull) and _is_null_when(part.operand.operand, columns)
    if isinstance(part, Compare):
        if part.op in ("IS", "IS NOT"):
            return False
        return _is_null_when(part.left, columns) or _is_null_when(part.right, columns)
    if isinstance(part, (InList, InArray, Like)):
        return _is_null_when(part.operand, columns)
    if isinstance(part, InRows):
        return any(_is_null_when(operand, columns) for operand in part.operands)
    return False


def _is_null_when(expression: Expr, columns: set[int]) -> bool:
    return isinstance(expression, ColumnRef) and expression.column in columns


# ---- constants travel along equalities -----------------------------------------------------------------------------


def propagate_constants(plan: Plan) -> Plan:
    """`a.x = :p` and `a.x = b.y` give `b.y = :p`, so both tables can be read in the same wave.

    Right of a LEFT JOIN too: rows of `b` with another `y` could not match any row of `a` that is left.
    """
    plan = over_inputs(plan, propagate_constants)
    told: set[int] = set()
    while isinstance(plan, Join) and plan.kind != "FULL":
        further = _propagated(plan, told)
        if further is plan:
            break
        plan = further
    return plan


def _propagated(plan: Join, told: set[int]) -> Plan:
    """`plan` with each constant sent across one equality; a column is told once, though it may not be seen to know."""
    known_left, known_right = _constants(plan.left), _constants(plan.right)
    to_left: list[Compare] = []
    to_right: list[Compare] = []
    for a, b in _equalities(plan):
        if a.type.kind is not b.type.kind:
            continue
        if a.column in known_left and b.column not in known_right and b.column not in told:
            to_right.append(Compare("=", b, known_left[a.column]))
            told.add(b.column)
        elif plan.kind == "INNER" and b.column in known_right and a.column not in known_left and a.column not in told:
            to_left.append(Compare("=", a, known_right[b.column]))
            told.add(a.column)
    if not to_left and not to_right:
        return plan
    left = propagate_constants(_push(plan.left, to_left)) if to_left else plan.left
    right = propagate_constants(_push(plan.right, to_right)) if to_right else plan.right
    return replace(plan, left=left, right=right)


def _constants(plan: Plan) -> dict[int, Expr]:
    """The columns of `plan` that hold one known value in every row."""
    found: dict[int, Expr] = {}
    if isinstance(plan, (Scan, Filter)):
        for part in conjuncts(plan.condition):
            if isinstance(part, Compare) and part.op == "=":
                for side, other in ((part.left, part.right), (part.right, part.left)):
                    if isinstance(side, ColumnRef) and not columns_of(other) and _is_plain(other):
                        found.setdefault(side.column, other)
    if isinstance(plan, Join):
        if plan.kind != "FULL":
            found.update(_constants(plan.left))
        if plan.kind == "INNER":
            found.update(_constants(plan.right))
    elif isinstance(plan, (Project, Group)):
        below = _constants(plan.child)
        parts = plan.expressions if isinstance(plan, Project) else plan.keys
        for column, part in zip(plan.output, parts, strict=False):
            if isinstance(part, ColumnRef) and part.column in below:
                found[column.column] = below[part.column]
    elif isinstance(plan, SetOperation):
        left, right = _constants(plan.left), _constants(plan.right)
        for column, a, b in zip(plan.output, plan.left.output, plan.right.output, strict=True):
            if a.column in left and left[a.column] == right.get(b.column):
                found[column.column] = left[a.column]
    elif isinstance(plan, (Filter, Sort, Limit, Distinct, Apply)):
        found.update(_constants(plan.child))
    return found


def _is_plain(expression: Expr) -> bool:
    """A constant or a slot: nothing that could fail or change when it is computed elsewhere."""
    return not any(isinstance(part, Call) for part in walk(expression))


def _equalities(join: Join) -> list[tuple[ColumnRef, ColumnRef]]:
    """The pairs (left column, right column) that the join's condition equates."""
    left = {column.column for column in join.left.output}
    right = {column.column for column in join.right.output}
    pairs = []
    for part in conjuncts(join.condition):
        if isinstance(part, Compare) and part.op == "=":
            a, b = part.left, part.right
            if isinstance(a, ColumnRef) and isinstance(b, ColumnRef):
                if a.column in left and b.column in right:
                    pairs.append((a, b))
                elif b.column in left and a.column in right:
                    pairs.append((b, a))
    return pairs


# ---- order of joins ------------------------------------------------------------------------------------------------


def order_joins(plan: Plan) -> Plan:
    """Start a chain of INNER joins at the side that its conditions narrow most, and go on along equalities."""
    if not (isinstance(plan, Join) and plan.kind == "INNER"):
        return over_inputs(plan, order_joins)
    leaves, parts = _leaves(plan)
    leaves = [order_joins(leaf) for leaf in leaves]
    chosen = min(leaves, key=_width)
    rest = [leaf for leaf in leaves if leaf is not chosen]
    joined: Plan = chosen
    while rest:
        reach = {column.column for column in joined.output}
        following = min(rest, key=lambda leaf: (_width(leaf) > 0, not _meets(leaf, reach, parts), _width(leaf)))
        rest = [leaf for leaf in rest if leaf is not following]
        reach |= {column.column for column in following.output}
        here = [part for part in parts if columns_of(part) <= reach]
        parts = [part for part in parts if not columns_of(part) <= reach]
        joined = Join("INNER", joined, following, conjunction(here))
    return _filtered(joined, parts)


def _leaves(plan: Plan) -> tuple[list[Plan], list[Expr]]:
    if isinstance(plan, Join) and plan.kind == "INNER":
        left, left_parts = _leaves(plan.left)
        right, right_parts = _leaves(plan.right)
        return left + right, left_parts + right_parts + conjuncts(plan.condition)
    return [plan], []


def _meets(leaf: Plan, reach: set[int], parts: list[Expr]) -> bool:
    own = {column.column for column in leaf.output}
    return any(columns_of(part) & own and columns_of(part) & reach for part in parts)


def _width(plan: Plan) -> int:
    """How much of its tables a plan reads: 0 one row, 1 some, 2 a range, 3 everything."""
    if isinstance(plan, Scan):
        return _width_of(best(plan, conjuncts(plan.condition)))
    if isinstance(plan, Rows):
        return 0
    if isinstance(plan, (WorkingTable, Shared)):
        return 1 if isinstance(plan, WorkingTable) else 2  # who has rows at hand looks up what belongs to them
    if isinstance(plan, Group):
        return 0 if not plan.keys else _width(plan.child)
    if isinstance(plan, Limit):
        return min(1, _width(plan.child))
    if isinstance(plan, Join):
        return _width(plan.left)
    below = [_width(child) for child in inputs(plan)]
    return max(below, default=3)


def _width_of(candidate: Candidate) -> int:
    if candidate.rank[0]:
        return 0
    return 1 if candidate.rank[1] else 2 if candidate.rank[2] else 3


# ---- where the store is read ---------------------------------------------------------------------------------------


def choose_access(plan: Plan) -> Plan:
    """Give every scan its index or key range, and turn joins into lookups where that reads less.

    A join becomes a lookup when the right side can be found by a key that the left row gives, the left side is
    narrow, and constants alone do not already find as much: those are read in the same wave as the left side.
    """
    if isinstance(plan, Join):
        return _choose_join(plan)
    if isinstance(plan, Scan):
        return with_access(plan, best(plan, conjuncts(plan.condition)))
    return over_inputs(plan, choose_access)


def _choose_join(plan: Join) -> Plan:
    if isinstance(plan.right, Scan) and plan.kind != "FULL":
        lookup = _lookup(plan, plan.right)
        if lookup is not None:
            return replace(lookup, left=choose_access(plan.left))
    if plan.kind == "INNER" and isinstance(plan.left, Scan):
        turned = replace(plan, left=plan.right, right=plan.left)
        lookup = _lookup(turned, plan.left)
        if lookup is not None and _width(plan.right) < _width(plan.left):
            return replace(lookup, left=choose_access(plan.right))
    return over_inputs(plan, choose_access)


def _lookup(plan: Join, right: Scan) -> Join | None:
    """The join as a lookup of `right` by keys from the left rows; None when that is no gain."""
    if _width(plan.left) >= 3:
        return None
    own = conjuncts(right.condition)
    alone = best(right, own)
    on = conjuncts(plan.condition)
    available = frozenset(column.column for column in plan.left.output)
    candidate = best(right, own + on, available)
    if not candidate.outer or candidate.rank[:2] <= alone.rank[:2]:
        return None
    consumed = set(map(id, candidate.consumed))
    condition = conjunction([part for part in on if id(part) not in consumed])
    return replace(plan, right=with_access(right, candidate), condition=condition, lookup=True)


def look_up_if_few(plan: Plan) -> Plan:
    """An INNER join of two sides that an index narrows each, nobody knows which more: begin with the one that could
    give the keys of the other, and look those up if it finds few.
    """
    plan = over_inputs(plan, look_up_if_few)
    if not isinstance(plan, Join) or plan.kind != "INNER" or plan.lookup or not isinstance(plan.left, Scan):
        return plan
    turned = replace(plan, left=plan.right, right=plan.left)
    if not _begins_with_an_index(plan.right):
        return plan
    lookup = _lookup(turned, plan.left)
    return plan if lookup is None else LookupIfFew(lookup, turned)


def _begins_with_an_index(plan: Plan) -> bool:
    while isinstance(plan, (Project, Filter)):
        plan = plan.child
    return isinstance(plan, Scan) and plan.access.index is not None and bool(plan.access.equals)


def read_the_fewest(plan: Plan) -> Plan:
    """A table of which several keys are narrowed: nobody knows which finds fewest, so it is seen while reading.

    Not where a row at most is found, nor below a lookup, which has its key, nor where the rows hang on an enclosing
    query: those are few each time. Nor where rows are locked, or counted; streams and their races try by themselves.
    """
    if isinstance(plan, Scan):
        return _by_several_keys(plan)
    if isinstance(plan, (Counted, Lock)):
        return plan
    if isinstance(plan, Join) and plan.lookup:
        return replace(plan, left=read_the_fewest(plan.left))
    if isinstance(plan, (FirstRows, LookupIfFew)):
        return replace(plan, complete=read_the_fewest(plan.complete))
    return over_inputs(plan, read_the_fewest)


def _by_several_keys(scan: Scan) -> Plan:
    narrow = narrowing(scan, conjuncts(scan.condition))
    if scan.access.reverse or finds_few(narrow):
        return scan
    ways = tuple(with_access(scan, each) for each in narrow[:MOST_NARROW])
    return FewestEntries(ways) if len(ways) > 1 else scan


# ---- small things --------------------------------------------------------------------------------------------------


def fold_constants(plan: Plan) -> Plan:
    """Drop conditions that are plainly true (`1 = 1`, which Glance writes), and a CASE that is its column."""
    plan = over_inputs(plan, fold_constants)
    if isinstance(plan, Filter):
        parts = [transform(part, _folded_case) for part in conjuncts(plan.condition) if not _is_true(part)]
        return _filtered(plan.child, parts)
    return plan


def _folded_case(node: Expr) -> Expr | None:
    """CASE WHEN x IS NOT NULL THEN x ELSE y END is x, when y is NULL or x cannot be."""
    if not isinstance(node, Case) or len(node.whens) != 1:
        return None
    [(when, column)] = node.whens
    if not isinstance(column, ColumnRef) or when != Not(IsNull(column)) or column.type.kind is not node.type.kind:
        return None
    never = isinstance(node.default, Const) and node.default.value is None
    return column if never or not column.nullable else None


def _is_true(part: Expr) -> bool:
    if isinstance(part, Const):
        return part.value is True
    if isinstance(part, Compare) and part.op == "=":
        left, right = part.left, part.right
        return (
            isinstance(left, Const)
            and isinstance(right, Const)
            and left.value is not None
            and type(left.value) is type(right.value)
            and left.value == right.value
        )
    return False


RULES: tuple[Callable[[Plan], Plan], ...] = (
    fold_constants,
    push_conditions_down,
    propagate_constants,
    distribute_joins,
    order_joins,
    choose_access,
    read_in_order,
    stream_first_rows,
    look_up_if_few,
    count_keys,
    read_the_fewest,
)

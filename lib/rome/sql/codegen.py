"""The source of a Python function for a bound expression.

The source is made of the templates in this file and of integers, nothing else: constants, names and data reach the
function through its namespace, as `dataclasses` does it, so no text from a user is ever compiled.

An expression has three forms in Python:

    value     the SQL value: None for NULL, True and False for the truth values
    truth     something that Python takes as true exactly when the SQL value is TRUE
    falsity   something that Python takes as true exactly when the SQL value is FALSE

A filter asks for `truth` and gets short code: NULL and FALSE need not be told apart, and NOT just asks its operand for
`falsity`. AND and OR become Python's, so they are lazy from left to right, as CASE and COALESCE are. Checks for NULL
are left out where an operand cannot be NULL.

In the source, `r` is the row, `b` the Bindings, k1… constants, v1… values loaded before the loop, t1… temporaries,
h1… helper functions of (r, b): Python's parser refuses deep nesting, so a deep expression is cut into helpers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import NamedTuple

from rome.errors import InternalError
from rome.sql import arithmetic
from rome.sql.bound import (
    And,
    Arithmetic,
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
    Negate,
    NextValue,
    Not,
    Or,
    OuterRef,
    Slot,
    array,
    children,
)
from rome.sql.cast import caster
from rome.sql.functions import FUNCTIONS
from rome.sql.like import like_matcher
from rome.sql.literals import MAX_INTEGER, MIN_INTEGER, checked_integer
from rome.values import NULL, NUMERIC_KINDS, Kind, SqlType

LIFT_EVERY = 12  # levels of an expression between two helper functions; each adds up to five nested parentheses
MAX_WHENS = 12  # branches of one conditional expression in Python

_PYTHON_OPERATORS = {"=": "==", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_OPPOSITES = {"=": "<>", "<>": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<", "IS": "IS NOT", "IS NOT": "IS"}
_PYTHON_ARITHMETIC = {"+": "+", "-": "-", "*": "*"}
_WHOLE = frozenset({Kind.INTEGER, Kind.BOOLEAN})


class Generator:
    """Makes the body of one function, and the helpers and the namespace it needs.

    `layout[column]` is the place of a column in the row. Use it once: one of `truth`, `value` for each expression,
    then `prologue`, `helpers` and `namespace`.
    """

    def __init__(self, layout: Mapping[int, int]) -> None:
        self.namespace: dict[str, object] = {}
        self.helpers: list[str] = []
        self._layout = layout
        self._loads: dict[str, str] = {}  # of the function being written: what is loaded → its name
        self._constants: dict[int, str] = {}
        self._nodes: dict[int, _Studied] = {}  # by id
        self._lifted: dict[int, str] = {}
        self._count = 0

    def prologue(self) -> str:
        """The statements that load what the function needs before its loop."""
        return "".join(f"    {name} = {source}\n" for source, name in self._loads.items())

    def prepare(self, root: Expr) -> None:
        """Study `root` bottom up and write helpers for its deep parts; do this before asking for a form of it.

        Without recursion: the depth of an expression is not bounded by Python's stack.
        """
        pending: list[tuple[Expr, bool]] = [(root, False)]
        while pending:
            node, seen = pending.pop()
            if id(node) in self._nodes:
                continue
            if not seen:
                pending.append((node, True))
                pending.extend((child, False) for child in children(node))
            else:
                height = 1 + max((self._nodes[id(child)].height for child in children(node)), default=0)
                self._nodes[id(node)] = _Studied(node, height, self._can_be_null(node), self._is_any_number(node))
                if height % LIFT_EVERY == 0:
                    self._lifted[id(node)] = self._helper(functools.partial(self._value, node))

    def _helper(self, write: Callable[[], str]) -> str:
        """The call of a new helper function that returns the source which `write` gives."""
        outer_loads, self._loads = self._loads, {}
        source = write()
        name = self._new("h")
        self.helpers.append(f"def {name}(r, b):\n{self.prologue()}    return {source}\n")
        self._loads = outer_loads
        return f"{name}(r, b)"

    # ---- names -----------------------------------------------------------------------------------------------------

    def _new(self, letter: str) -> str:
        self._count += 1
        return f"{letter}{self._count}"

    def _constant(self, value: object) -> str:
        if value is None or value is True or value is False:
            return str(value)
        if type(value) is int:
            return f"({value:d})"
        name = self._constants.get(id(value))
        if name is None:
            name = self._constants[id(value)] = self._new("k")
            self.namespace[name] = value
        return name

    def _load(self, source: str) -> str:
        name = self._loads.get(source)
        if name is None:
            name = self._loads[source] = self._new("v")
        return name

    def _atom(self, node: Expr) -> str | None:
        """The source of what costs nothing to write twice; None for anything else."""
        match node:
            case ColumnRef(column=column):
                return f"r[{self._layout[column]:d}]"
            case Const(value=value):
                return self._constant(value)
            case Slot(index=index):
                return self._load(f"b.slots[{index:d}]")
            case OuterRef(column=column):
                return self._load(f"b.outer[{column:d}]")
        return None

    def _nullable(self, node: Expr) -> bool:
        return self._nodes[id(node)].nullable

    def _can_be_null(self, node: Expr) -> bool:
        match node:
            case Const(value=value):
                return value is None
            case ColumnRef(nullable=nullable):
                return nullable
            case Slot() | OuterRef() | InArray() | InRows():
                return True
            case IsNull() | Compare(op="IS" | "IS NOT"):
                return False
            case Case(whens=whens, default=default):
                return any(self._nullable(result) for _, result in whens) or self._nullable(default)
            case Call(name="coalesce" | "ifnull", arguments=arguments):
                return all(self._nullable(argument) for argument in arguments)
            case Call(name=name) if name == "nullif" or FUNCTIONS[name].null_safe or FUNCTIONS[name].may_miss:
                return True
        return any(self._nullable(child) for child in children(node))

    def _kind(self, node: Expr) -> Kind:
        """The kind of the values of `node`; NULL where only each value tells."""
        return Kind.NULL if self._nodes[id(node)].any_number else node.type.kind

    def _is_any_number(self, node: Expr) -> bool:
        """Whether `node` has the value of a numeric slot in it: a parameter may be another number than its place says.

        A comparison needs no more than that; a computation must look at the value.
        """
        if node.type.kind not in NUMERIC_KINDS:
            return False
        match node:
            case Slot():
                return True
            case Arithmetic() | Negate() | Case() | Call():
                return any(self._nodes[id(child)].any_number for child in children(node))
        return False

    # ---- operands of functions and operators that give NULL for NULL ------------------------------------------------

    def _operand(self, node: Expr, kind: Kind | None = None, shared: bool = False) -> tuple[str | None, str]:
        """(test, source) of a value, as one of `kind` when given: the source may be used after the test was true.

        The test is None when there is nothing to test. Only with `shared` may the source be used more than once.
        """
        atom = self._atom(node) if self._conversion(node.type.kind, kind) is None else None
        if atom is not None:
            return (f"{atom} is not None" if self._nullable(node) else None), atom
        value = self.value(node, kind)
        if not self._nullable(node) and not shared:
            return None, value
        name = self._new("t")
        return f"({name} := {value}) is not None", name

    def _conversion(self, kind: Kind, wanted: Kind | None) -> Callable[[object], object] | None:
        """The function that makes a value, or NULL, of `kind` one of the kind `wanted`; None when it is one."""
        numeric = kind in NUMERIC_KINDS and wanted in NUMERIC_KINDS
        if kind is wanted or not (numeric or (kind is Kind.DATE and wanted is Kind.DATETIME)):
            return None
        return _null_safe_conversion(kind, wanted)

    def _strict(self, operands: Iterable[tuple[str | None, str]], template: Callable[..., str]) -> str:
        """The value of a template over operands: NULL as soon as one is."""
        tests, sources = _tests_and_sources(operands)
        value = template(*sources)
        return f"({value} if {' and '.join(tests)} else None)" if tests else value

    # ---- the three forms -------------------------------------------------------------------------------------------

    def truth(self, node: Expr) -> str:
        """Truthy exactly when `node` is TRUE."""
        if id(node) in self._lifted:
            return self._lifted[id(node)]
        match node:
            case Const(value=value):
                return "True" if value else "False"
            case And(items=items):
                return _joined(" and ", map(self.truth, items), "True")
            case Or(items=items):
                return _joined(" or ", map(self.truth, items), "False")
            case Not(operand=operand):
                return self.falsity(operand)
            case Compare(op=op):
                return self._comparison(node, op)
            case IsNull(operand=operand):
                return f"({self._value(operand)} is None)" if self._nullable(operand) else "False"
            case InList() | InArray():
                return self._in_truth(node)
            case Like():
                return self._like_test(node, "")
            case Case(whens=whens, default=default):
                return self._conditional(whens, self.truth, default)
        return self._value(node)

    def falsity(self, node: Expr) -> str:
        """Truthy exactly when `node` is FALSE."""
        if id(node) not in self._lifted:
            match node:
                case Const(value=value):
                    return "False" if value or value is None else "True"
                case And(items=items):
                    return _joined(" or ", map(self.falsity, items), "False")
                case Or(items=items):
                    return _joined(" and ", map(self.falsity, items), "True")
                case Not(operand=operand):
                    return self.truth(operand)
                case Compare(op=op):
                    return self._comparison(node, _OPPOSITES[op])
                case IsNull(operand=operand):
                    return f"({self._value(operand)} is not None)" if self._nullable(operand) else "True"
                case InList() | InArray():
                    return self._in_falsity(node)
                case Like():
                    return self._like_test(node, "not ")
                case Case(whens=whens, default=default):
                    return self._conditional(whens, self.falsity, default)
        test, source = self._operand(node)
        return f"({test} and not {source})" if test else f"(not {source})"

    def value(self, node: Expr, kind: Kind | None = None) -> str:
        """The SQL value of `node`, as one of `kind` when given."""
        convert = self._conversion(node.type.kind, kind)
        return self._value(node) if convert is None else f"{self._constant(convert)}({self._value(node)})"

    def _value(self, node: Expr) -> str:
        if id(node) in self._lifted:
            return self._lifted[id(node)]
        atom = self._atom(node)
        if atom is not None:
            return atom
        match node:
            case And() | Or():
                return self._connective_value(node)
            case Not(operand=operand):
                return self._strict([self._operand(operand)], lambda source: f"(not {source})")
            case Compare(op="IS" | "IS NOT") | IsNull():
                return self.truth(node)
            case Compare(op=op):
                return self._strict(self._compared(node), lambda a, b: f"({a} {_PYTHON_OPERATORS[op]} {b})")
            case InList() | InArray():
                return self._in_value(node)
            case InRows(operands=members, rows=rows):
                sources = ", ".join(map(self._value, members))
                return f"{self._value(rows)}.has(({sources},))"
            case Like():
                operands, matches = self._like_operands(node)
                return self._strict(operands, lambda *sources: f"(True if {matches(*sources)} else False)")
            case Arithmetic():
                return self._arithmetic(node)
            case NextValue(sequence=sequence):
                return f"b.next_value({self._constant(sequence)})"
            case Negate(operand=operand):
                negate = self._constant(arithmetic.negation(self._kind(operand)))
                return self._strict([self._operand(operand)], lambda source: f"{negate}({source})")
            case Case(whens=whens, default=default):
                return self._conditional(whens, lambda result: self.value(result, node.type.kind), default)
            case Cast(operand=operand):
                return self._cast(operand, node.type)
            case Call():
                return self._call(node)
        raise InternalError(f"an expression of kind {type(node).__name__} cannot be computed")

    # ---- logic -----------------------------------------------------------------------------------------------------

    def _connective_value(self, node: And | Or) -> str:
        """TRUE, FALSE or NULL: the deciding value if an item has it, else NULL if an item is, else the other."""
        conjunction = isinstance(node, And)
        deciding, nulls = [], []
        for item in node.items:
            if not self._nullable(item):
                deciding.append(self.falsity(item) if conjunction else self.truth(item))
                continue
            test, source = self._operand(item)
            deciding.append(f"({test} and {'not ' if conjunction else ''}{source})")
            nulls.append(f"{source} is None")
        decided, other = ("False", "True") if conjunction else ("True", "False")
        if nulls:
            other = f"None if {' or '.join(nulls)} else {other}"
        return f"({decided} if {_joined(' or ', deciding, 'False')} else {other})"

    def _conditional(self, whens: tuple[tuple[Expr, Expr], ...], form: Callable[[Expr], str], default: Expr) -> str:
        rest: str | None = None
        for start in range((len(whens) - 1) // MAX_WHENS * MAX_WHENS, 0, -MAX_WHENS):
            part = functools.partial(self._branches, whens[start : start + MAX_WHENS], form, default, rest)
            rest = self._helper(part)
        return self._branches(whens[:MAX_WHENS], form, default, rest)

    def _branches(
        self, whens: tuple[tuple[Expr, Expr], ...], form: Callable[[Expr], str], default: Expr, rest: str | None
    ) -> str:
        branches = [f"{form(result)} if {self.truth(condition)} else " for condition, result in whens]
        return f"({''.join(branches)}{rest or form(default)})"

    # ---- comparisons -----------------------------------------------------------------------------------------------

    def _compared(self, node: Compare) -> list[tuple[str | None, str]]:
        kind = _comparison_kind(node)
        return [self._operand(node.left, kind), self._operand(node.right, kind)]

    def _comparison(self, node: Compare, op: str) -> str:
        """The test that `node`, with `op` in the place of its own, is TRUE."""
        left, right = node.left, node.right
        if op in ("IS", "IS NOT"):
            kind = _comparison_kind(node)
            return f"({self.value(left, kind)} {'==' if op == 'IS' else '!='} {self.value(right, kind)})"
        operands = self._compared(node)
        if op == "=" and not (self._nullable(left) and self._nullable(right)):
            # At most one side can be None, and then it equals nothing: a test is needed only for what it assigns.
            operands = [(test if test and ":=" in test else None, source) for test, source in operands]
        tests, (a, b) = _tests_and_sources(operands)
        return _joined(" and ", [*tests, f"{a} {_PYTHON_OPERATORS[op]} {b}"], "")

    # ---- IN --------------------------------------------------------------------------------------------------------

    def _in_parts(self, node: InList | InArray) -> _InParts:
        kind = _comparison_kind(node)
        test, source = self._operand(node.operand, kind, shared=True)
        if isinstance(node, InArray):
            slot = f"b.slots[{node.slot.index:d}]"
            members = f"{slot}.members"
            if self._conversion(node.slot.type.kind, kind):
                members = f"{self._constant(_midnights)}({members})"
            return _InParts(test, source, self._load(members), self._load(f"{slot}.has_null"), [])
        constants: list[object] = []
        early: list[str] = []  # known before the first row
        late: list[tuple[str | None, str]] = []
        for item in node.items:
            convert = self._conversion(item.type.kind, kind)
            if isinstance(item, Const):
                constants.append(convert(item.value) if convert else item.value)
            elif isinstance(item, (Slot, OuterRef)) and convert is None:
                early.append(self.value(item))
            else:
                late.append(self._operand(item, kind))
        if early:
            made = self._load(f"{self._constant(array)}([*{self._constant(constants)}, {', '.join(early)}])")
            return _InParts(test, source, self._load(f"{made}.members"), self._load(f"{made}.has_null"), late)
        known = array(constants)
        return _InParts(test, source, self._constant(known.members), str(known.has_null), late)

    def _in_truth(self, node: InList | InArray) -> str:
        parts = self._in_parts(node)
        return _joined(" and ", [*([parts.test] if parts.test else []), _joined(" or ", parts.equalities(), "")], "")

    def _in_falsity(self, node: InList | InArray) -> str:
        if isinstance(node, InList) and not node.items:
            return "True"
        test, source, members, has_null, late = parts = self._in_parts(node)
        conditions = [test] if test else []
        conditions += [f"not {has_null}", f"{source} not in {members}"]
        for item_test, item in late:
            conditions += [item_test] if item_test else []
            conditions.append(f"{source} != {item}")
        differs = _joined(" and ", conditions, "")
        return f"({parts.empty()} or {differs})" if isinstance(node, InArray) else differs

    def _in_value(self, node: InList | InArray) -> str:
        if isinstance(node, InList) and not node.items:
            return "False"
        parts = self._in_parts(node)
        found = " or ".join(parts.equalities())
        nulls = [parts.has_null] + [f"{item} is None" for item_test, item in parts.late if item_test]
        value = f"True if {found} else None if {' or '.join(nulls)} else False"
        if parts.test:
            value = f"None if not ({parts.test}) else {value}"
        return f"(False if {parts.empty()} else {value})" if isinstance(node, InArray) else f"({value})"

    # ---- LIKE ------------------------------------------------------------------------------------------------------

    def _like_operands(self, node: Like) -> tuple[list[tuple[str | None, str]], Callable[..., str]]:
        """The operands whose NULLs count, and the source of the match from their sources."""
        given = [part for part in (node.pattern, node.escape) if part is not None]
        operand = self._operand(node.operand)
        match_ = self._constant(like_matcher)
        if all(isinstance(part, Const) and part.value is not None for part in given):
            arguments = [part.value for part in given if isinstance(part, Const)]
            escape = arguments[1] if len(arguments) > 1 else None
            matcher = self._constant(like_matcher(arguments[0], escape, node.ignore_case))
            return [operand], lambda text: f"{matcher}({text})"
        if all(isinstance(part, (Const, Slot, OuterRef)) for part in given):
            atoms = [self._atom(part) for part in given]
            escape_atom = atoms[1] if len(atoms) > 1 else "None"
            known = " and ".join(f"{atom} is not None" for atom in atoms)
            call = f"{match_}({atoms[0]}, {escape_atom}, {bool(node.ignore_case)})"
            matcher = self._load(f"{call} if {known} else None")
            return [(f"{matcher} is not None", matcher), operand], lambda matcher, text: f"{matcher}({text})"
        rest = [self._operand(part) for part in given]

        def matched(text: str, pattern: str, escape: str = "None") -> str:
            return f"{match_}({pattern}, {escape}, {bool(node.ignore_case)})({text})"

        return [operand, *rest], matched

    def _like_test(self, node: Like, negation: str) -> str:
        operands, matches = self._like_operands(node)
        tests, sources = _tests_and_sources(operands)
        return _joined(" and ", [*tests, f"{negation}{matches(*sources)}"], "")

    # ---- computations ----------------------------------------------------------------------------------------------

    def _arithmetic(self, node: Arithmetic) -> str:
        left, right = self._kind(node.left), self._kind(node.right)
        operands = [self._operand(node.left), self._operand(node.right)]
        if node.op in "+-*" and left in _WHOLE and right in _WHOLE:
            return self._strict(operands, functools.partial(self._whole_number, node.op))
        function = self._constant(arithmetic.operation(node.op, left, right))
        return self._strict(operands, lambda a, b: f"{function}({a}, {b})")

    def _whole_number(self, op: str, left: str, right: str) -> str:
        """A sum, difference or product of integers, within 64 bits; a function is called only to raise the error."""
        result, check = self._new("t"), self._constant(checked_integer)
        low, high = self._constant(MIN_INTEGER), self._constant(MAX_INTEGER)
        computed = f"({result} := {left} {_PYTHON_ARITHMETIC[op]} {right})"
        return f"({result} if {low} <= {computed} <= {high} else {check}({result}))"

    def _cast(self, operand: Expr, target: SqlType) -> str:
        convert = caster(NULL if self._kind(operand) is Kind.NULL else operand.type, target)
        if convert is None:
            return self._value(operand)
        return self._strict([self._operand(operand)], lambda source: f"{self._constant(convert)}({source})")

    def _call(self, node: Call) -> str:
        function = FUNCTIONS[node.name]
        arguments = node.arguments
        if node.name in ("coalesce", "ifnull"):
            return self._coalesce(arguments, node.type.kind)
        if node.name == "nullif":
            return self._nullif(*arguments)
        code = function.implementation
        implementation = self._constant(code(list(map(self._kind, arguments))) if function.by_kind else code)
        first = [f"b.{function.binding}"] if function.binding else []
        if function.null_safe:
            return f"{implementation}({', '.join([*first, *map(self._value, arguments)])})"
        kind = node.type.kind if function.common else None
        operands = [self._operand(argument, kind) for argument in arguments]
        return self._strict(operands, lambda *sources: f"{implementation}({', '.join([*first, *sources])})")

    def _nullif(self, left: Expr, right: Expr) -> str:
        kind = _comparison_kind(Compare("=", left, right))
        result = self._new("t")
        convert = self._conversion(left.type.kind, kind)
        compared = result if convert is None else f"{self._constant(convert)}({result})"
        test, source = self._operand(right, kind)
        equal = _joined(" and ", [*([test] if test else []), f"{compared} == {source}"], "")
        return f"({result} if ({result} := {self._value(left)}) is None or not ({equal}) else None)"

    def _coalesce(self, arguments: tuple[Expr, ...], kind: Kind) -> str:
        result = self._new("t")
        tests = [f"({result} := {self.value(argument, kind)}) is not None" for argument in arguments]
        return f"({result} if {_joined(' or ', tests, '')} else None)"


class _Studied(NamedTuple):
    """What is known of a node: how many levels it has, whether it can be NULL, and see `_is_any_number`."""

    node: Expr  # kept, so that its id stays its own
    height: int
    nullable: bool
    any_number: bool


class _InParts(NamedTuple):
    """What IN is made of, in Python: `late` are the tests and sources of items that are not in the set `members`."""

    test: str | None
    source: str
    members: str
    has_null: str
    late: list[tuple[str | None, str]]

    def equalities(self) -> list[str]:
        found = [f"{self.source} in {self.members}"]
        for test, item in self.late:
            found.append(f"({test} and {self.source} == {item})" if test else f"{self.source} == {item}")
        return found

    def empty(self) -> str:
        """Nothing is IN an empty array, not even NULL."""
        return f"(not {self.members} and not {self.has_null})"


def _comparison_kind(node: Compare | InList | InArray) -> Kind | None:
    """The kind that operands must be converted to before Python can compare them; None where it can as they are."""
    kinds = {part.type.kind for part in children(node)}
    return Kind.DATETIME if {Kind.DATE, Kind.DATETIME} <= kinds else None


def _midnights(days: frozenset[date]) -> frozenset[datetime]:
    return frozenset(map(arithmetic.midnight, days))


@functools.cache
def _null_safe_conversion(kind: Kind, wanted: Kind) -> Callable[[object], object]:
    convert = caster(SqlType(kind, kind.name), SqlType(wanted, wanted.name))
    if convert is None:
        raise InternalError(f"there is no conversion from {kind} to {wanted}")
    known = convert
    return lambda value: None if value is None else known(value)


def _tests_and_sources(operands: Iterable[tuple[str | None, str]]) -> tuple[list[str], list[str]]:
    pairs = list(operands)
    return [test for test, _ in pairs if test], [source for _, source in pairs]


def _joined(operator: str, parts: Iterable[str], empty: str) -> str:
    found = list(parts)
    if len(found) < 2:
        return found[0] if found else empty
    return f"({operator.join(found)})"

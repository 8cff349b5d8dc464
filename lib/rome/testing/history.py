"""A serializability checker: which anomalies a history of concurrent transactions shows.

A history says of each transaction what it did (`Append` a value to the list at a key, `Read` such a list), how it
ended, and when it began and ended. No value is appended twice to one key, so a list that was read tells which versions
of the key came before, and a read of it which versions the reader had not seen. That gives three dependencies:

    ww    one appended directly after what the other had appended
    wr    one read what the other had appended
    rw    one had not seen yet what the other appended next: it read the version before
    rt    one had ended before the other began (strict serializability: real time counts)

A serial order must respect all of them, so a circle is an anomaly, and its edges name it (Adya, Liskov & O'Neil, ICDE
2000; Kingsbury & Alvaro, "Elle", VLDB 2020):

    G0            ww only                       G1c        ww and wr
    G-single      exactly one rw                G2-item    several rw
    …-realtime    not without rt: in another order of the clock it would be none

and without a circle:

    G1a                   what a transaction that failed had appended was read
    G1b                   a list was read between two appends of one transaction
    dirty update          a transaction appended to what one that failed had appended
    lost update           two transactions read one version and both appended to it
    lost element          what was appended is missing from a list that was read later
    duplicate element     a list holds an element twice
    unwritten element     a list holds what no one appended
    incompatible orders   two lists that were read are not the beginnings of one
    internal              a transaction does not see its own appends, or sees a key change

A transaction that failed, and one of unknown outcome that no one has seen, still takes part with what it was told:
ROME promises that no transaction sees a torn state, whatever becomes of it. One of unknown outcome that someone has
seen has happened, at any time after it began. Time and memory grow as the history does.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

SHOWN_VALUES: Final = 6  # of a list, in a description
MAX_STARTS: Final = 100  # edges from which a circle is looked for, in one knot of transactions
MAX_PER_NAME: Final = 10  # anomalies of one name that are described
INFINITY_NS: Final = 1 << 63


class Outcome(enum.StrEnum):
    """How a transaction ended, as far as its client knows."""

    OK = "ok"
    FAILED = "failed"  # nothing of it was written
    UNKNOWN = "unknown"  # it may have happened, and may yet


class Append(NamedTuple):
    """`value` was appended to the list at `key`."""

    key: str
    value: int


class Read(NamedTuple):
    """The list at `key` was read, own appends included; () where there was none."""

    key: str
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one transaction did, in order; times by one clock that never goes back. `client` is for the reader."""

    ops: tuple[Append | Read, ...]
    outcome: Outcome
    began_ns: int
    ended_ns: int
    client: str = ""


class Anomaly(NamedTuple):
    """`transactions` are places in the history; `text` says what is wrong in a few lines."""

    name: str
    text: str
    transactions: tuple[int, ...]


class Observed(NamedTuple):
    """A read without the reader's own appends: the first `length` elements of its key's order."""

    reader: int
    key: str
    length: int


@dataclass(slots=True)
class Order:
    """What is known of the list at one key: the longest that was read, and who appended each element (None: no one)."""

    elements: tuple[int, ...] = ()
    reader: int = -1
    writers: list[int | None] = field(default_factory=list)
    unseen: list[tuple[int, int]] = field(default_factory=list)  # writers that happened and their values, not in it


def check(history: Sequence[Transaction], *, strict: bool = True) -> list[Anomaly]:
    """Every kind of anomaly that `history` shows, [] if it is serializable (`strict`: in the order of time, too).

    Of one kind a few examples are given. Raises ValueError if a value was appended twice to one key.
    """
    return _Checker(history).anomalies(strict)


def check_totals(readings: Iterable[Mapping[str, int]], total: int) -> list[Anomaly]:
    """Bank transfers: each of `readings` (balances by account, all of them in one transaction) adds up to `total`.

    No balance is negative.
    """
    found = []
    for place, balances in enumerate(readings):
        if sum(balances.values()) != total:
            found.append(Anomaly("total changed", f"{dict(balances)} adds up to {sum(balances.values())}", (place,)))
        below = {account: balance for account, balance in balances.items() if balance < 0}
        if below:
            found.append(Anomaly("negative balance", f"{below}", (place,)))
    return found


def describe(anomalies: Sequence[Anomaly]) -> str:
    """All of them, for a test's message."""
    return "\n\n".join(f"{anomaly.name}: {anomaly.text}" for anomaly in anomalies) or "no anomaly"


class _Checker:
    def __init__(self, history: Sequence[Transaction]) -> None:
        self.history = history
        self.found: list[Anomaly] = []
        self.counts: dict[str, int] = {}
        self.writer_of: dict[tuple[str, int], int] = {}
        self.appended: list[dict[str, list[int]]] = []  # by transaction: its values for each key, in order
        for number, transaction in enumerate(history):
            mine: dict[str, list[int]] = {}
            for op in transaction.ops:
                if isinstance(op, Append):
                    if self.writer_of.setdefault((op.key, op.value), number) != number or op.value in mine.get(
                        op.key, ()
                    ):
                        raise ValueError(f"{op.value} is appended to {op.key} twice; give each append its own value")
                    mine.setdefault(op.key, []).append(op.value)
            self.appended.append(mine)
        self.orders: dict[str, Order] = {}
        self.observed: list[Observed] = []
        self.happened = [transaction.outcome is Outcome.OK for transaction in history]

    def anomalies(self, strict: bool) -> list[Anomaly]:
        reads = [read for number in range(len(self.history)) for read in self._external_reads(number)]
        self._order_lists(reads)
        self._observe(reads)
        self._find_unseen()
        for key, order in self.orders.items():
            self._judge_order(key, order)
        self._judge_reads()
        graph = self._graph(strict)
        for kinds, nodes in graph.circles():
            self._report_circle(graph, kinds, nodes)
        return self.found

    def _report(self, name: str, text: str, *transactions: int) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1
        if self.counts[name] <= MAX_PER_NAME:
            shown = "".join(f"\n    {self._show(number)}" for number in dict.fromkeys(transactions))
            self.found.append(Anomaly(name, text + shown, tuple(dict.fromkeys(transactions))))

    def _show(self, number: int) -> str:
        """One transaction in one line."""
        transaction = self.history[number]
        ops = ", ".join(
            f"append {op.key} {op.value}" if isinstance(op, Append) else f"read {op.key} → {_shown(op.values)}"
            for op in transaction.ops
        )
        times = f"{transaction.began_ns}…{transaction.ended_ns} ns"
        client = f", {transaction.client}" if transaction.client else ""
        return f"T{number} ({transaction.outcome}{client}, {times}): {ops}"

    # ---- lists

    def _external_reads(self, number: int) -> Iterator[tuple[int, str, tuple[int, ...], tuple[int, ...]]]:
        """The reads of a transaction: who, the key, the list without own appends, and as far as it shows the order."""
        own: dict[str, tuple[int, ...]] = {}
        before: dict[str, tuple[int, ...]] = {}
        for op in self.history[number].ops:
            key = op.key
            mine = own.get(key, ())
            if isinstance(op, Append):
                own[key] = (*mine, op.value)
                continue
            values = op.values
            if len(set(values)) != len(values):
                self._report("duplicate element", f"{key} was read as {_shown(values)}", number)
                continue
            external = values
            if mine:
                if values[-len(mine) :] != mine:
                    self._report("internal", f"{key} was read as {_shown(values)} after own appends {mine}", number)
                    continue
                external = values[: -len(mine)]
            if before.setdefault(key, external) != external:
                self._report("internal", f"{key} was {_shown(before[key])} and then {_shown(external)}", number)
            yield number, key, external, values if self.history[number].outcome is Outcome.OK else external

    def _order_lists(self, reads: list[tuple[int, str, tuple[int, ...], tuple[int, ...]]]) -> None:
        """The order of each key: the longest list that was read."""
        for reader, key, _, values in reads:
            order = self.orders.setdefault(key, Order())
            if len(values) > len(order.elements) or order.reader < 0:
                order.elements, order.reader = values, reader
        for key, order in self.orders.items():
            order.writers = [self.writer_of.get((key, value)) for value in order.elements]

    def _observe(self, reads: list[tuple[int, str, tuple[int, ...], tuple[int, ...]]]) -> None:
        """Which version each read saw; lists that are no beginning of their key's order are reported and left out."""
        for reader, key, external, values in reads:
            order = self.orders[key]
            if order.elements[: len(values)] == values:
                self.observed.append(Observed(reader, key, len(external)))
                continue
            text = f"{key} was read as {_shown(values)}, and elsewhere as {_shown(order.elements)}"
            self._report("incompatible orders", text, reader, order.reader)
            self._judge_elements(key, values, reader)

    def _find_unseen(self) -> None:
        """Who of unknown outcome has happened, and which elements of those who happened are in no list."""
        for order in self.orders.values():
            for writer in order.writers:
                if writer is not None and self.history[writer].outcome is Outcome.UNKNOWN:
                    self.happened[writer] = True
        for (key, value), writer in self.writer_of.items():
            known = self.orders.get(key)
            if known is not None and self.happened[writer] and value not in known.elements:
                known.unseen.append((writer, value))

    def _judge_elements(self, key: str, values: tuple[int, ...], reader: int) -> None:
        """Report the elements of a list that should not be in it."""
        for value in values:
            writer = self.writer_of.get((key, value))
            if writer is None:
                self._report("unwritten element", f"no one appended {value} to {key}", reader)
            elif self.history[writer].outcome is Outcome.FAILED and writer != reader:
                text = f"T{reader} read {value} in {key}, which T{writer} appended, and T{writer} failed"
                self._report("G1a", text, reader, writer)

    def _judge_order(self, key: str, order: Order) -> None:
        """What is wrong with the longest list of one key."""
        self._judge_elements(key, order.elements, order.reader)
        failed: int | None = None
        places: dict[int, list[int]] = {}
        for value, writer in zip(order.elements, order.writers, strict=True):
            if writer is None:
                continue
            places.setdefault(writer, []).append(value)
            if self.history[writer].outcome is Outcome.FAILED:
                failed = writer
            elif failed is not None:
                text = f"T{writer} appended {value} to {key} after what T{failed} had appended, which failed"
                self._report("dirty update", text, writer, failed)
                failed = None
        for writer, values in places.items():
            meant = self.appended[writer][key]
            if values != [value for value in meant if value in values]:
                text = f"T{writer} appended {meant} to {key}, which was read as {_shown(order.elements)}"
                self._report("incompatible orders", text, writer, order.reader)
            missing = [value for value in meant[: meant.index(values[-1])] if value not in values]
            if missing:
                text = f"of what T{writer} appended to {key}, {missing} is missing in {_shown(order.elements)}"
                self._report("lost element", text, writer, order.reader)

    def _judge_reads(self) -> None:
        """Lists read between two appends, elements lost, updates lost."""
        last_reader: dict[str, int] = {}
        same: dict[tuple[str, int], list[int]] = {}
        for reader, key, length in self.observed:
            order = self.orders[key]
            if key not in last_reader or self.history[reader].began_ns > self.history[last_reader[key]].began_ns:
                last_reader[key] = reader
            writer = order.writers[length - 1] if length else None
            if writer is not None and writer != reader:
                value, last = order.elements[length - 1], self.appended[writer][key][-1]
                if value != last:
                    text = f"T{reader} read {key} up to {value}, after which T{writer} appended {last}"
                    self._report("G1b", text, reader, writer)
            if self.happened[reader] and key in self.appended[reader]:
                readers = same.setdefault((key, length), [])
                if reader not in readers:
                    readers.append(reader)
        for (key, length), writers in same.items():
            if len(writers) > 1:
                text = f"T{writers[0]} and T{writers[1]} both read {length} elements of {key} and appended to them"
                self._report("lost update", text, *writers[:2])
        for key, reader in last_reader.items():
            for writer, value in self.orders[key].unseen:
                done = self.history[writer].outcome is Outcome.OK
                if done and self.history[writer].ended_ns < self.history[reader].began_ns:
                    text = f"T{writer} had appended {value} to {key} before T{reader} began, which did not find it"
                    self._report("lost element", text, writer, reader)

    # ---- the graph

    def _graph(self, strict: bool) -> _Graph:
        graph = _Graph(len(self.history))
        for key, order in self.orders.items():
            self._link_writers(graph, key, order)
        hubs: dict[str, int] = {}
        for reader, key, length in self.observed:
            order = self.orders[key]
            if length:
                writer = order.writers[length - 1]
                if writer is not None and self.happened[writer]:
                    graph.add("wr", writer, reader, key, order.elements[length - 1])
            for place in range(length, len(order.writers)):
                writer = order.writers[place]
                if writer is not None and self.happened[writer]:
                    graph.add("rw", reader, writer, key, order.elements[place])
                    break
            else:
                if any(writer == reader for writer, _ in order.unseen):  # not through the hub, which leads back to it
                    for writer, value in order.unseen:
                        graph.add("rw", reader, writer, key, value)
                elif order.unseen:
                    if key not in hubs:
                        hubs[key] = graph.add_hub()
                        for writer, value in order.unseen:
                            graph.add("rw", hubs[key], writer, key, value)
                    graph.add("rw", reader, hubs[key], key, 0)
        if strict:
            self._link_times(graph)
        return graph

    def _link_writers(self, graph: _Graph, key: str, order: Order) -> None:
        before: int | None = None
        for value, writer in zip(order.elements, order.writers, strict=True):
            if writer is None or not self.happened[writer]:
                continue
            if before is not None:
                graph.add("ww", before, writer, key, value)
            before = writer
        if before is not None:
            # what is in no list came later than all that is: lists only grow
            for writer, value in order.unseen:
                graph.add("ww", before, writer, key, value)

    def _link_times(self, graph: _Graph) -> None:
        """rt edges, through a chain of moments: as many as there are transactions, not as many as there are pairs."""
        moments = []
        for number, transaction in enumerate(self.history):
            moments.append((transaction.began_ns, 0, number))
            if transaction.outcome is not Outcome.UNKNOWN or not self.happened[number]:
                moments.append((transaction.ended_ns, 1, number))
        hub: int | None = None
        ended: list[int] = []
        for _, kind, number in sorted(moments):
            if kind:
                ended.append(number)
                continue
            if ended:
                later = graph.add_hub()
                if hub is not None:
                    graph.add("rt", hub, later, "", 0)
                for earlier in ended:
                    graph.add("rt", earlier, later, "", 0)
                hub, ended = later, []
            if hub is not None:
                graph.add("rt", hub, number, "", 0)

    def _report_circle(self, graph: _Graph, kinds: list[str], nodes: list[int]) -> None:
        """Name the circle by its edges and tell each of them."""
        steps, names = [], []
        real = len(self.history)
        start = next(place for place, node in enumerate(nodes) if node < real)
        nodes, kinds = nodes[start:] + nodes[:start], kinds[start:] + kinds[:start]
        origin = nodes[0]
        for place, kind in enumerate(kinds):
            target = nodes[(place + 1) % len(nodes)]
            if target >= real:
                continue
            names.append(kind)
            key, value = graph.labels[(kind, nodes[place], target)]
            steps.append("\n    " + _told(kind, origin, target, key, value))
            origin = target
        weight = names.count("rw")
        name = "G2-item" if weight > 1 else "G-single" if weight else "G1c" if "wr" in names else "G0"
        if "rt" in names:
            name += "-realtime"
        transactions = [node for node in nodes if node < real]
        self._report(name, f"a circle of {len(transactions)} transactions" + "".join(steps), *transactions)


def _shown(values: tuple[int, ...]) -> str:
    cut = f"…({len(values) - SHOWN_VALUES} more) " if len(values) > SHOWN_VALUES else ""
    return f"[{cut}{' '.join(map(str, values[-SHOWN_VALUES:]))}]"


def _told(kind: str, origin: int, target: int, key: str, value: int) -> str:
    match kind:
        case "ww":
            why = f"T{target} appended {value} to {key} after what T{origin} had appended"
        case "wr":
            why = f"T{target} read {value} in {key}, which T{origin} had appended"
        case "rw":
            why = f"T{origin} read {key} before T{target} appended {value}"
        case _:
            why = f"T{origin} had ended before T{target} began"
    return f"T{origin} before T{target} ({kind}): {why}"


class _Graph:
    """Edges of several kinds between transactions; nodes beyond the last transaction only pass an edge on."""

    def __init__(self, nodes: int) -> None:
        self.nodes = nodes
        self.out: dict[str, dict[int, list[int]]] = {"ww": {}, "wr": {}, "rw": {}, "rt": {}}
        self.labels: dict[tuple[str, int, int], tuple[str, int]] = {}

    def add_hub(self) -> int:
        self.nodes += 1
        return self.nodes - 1

    def add(self, kind: str, origin: int, target: int, key: str, value: int) -> None:
        if origin != target and (kind, origin, target) not in self.labels:
            self.labels[(kind, origin, target)] = (key, value)
            self.out[kind].setdefault(origin, []).append(target)

    def circles(self) -> Iterator[tuple[list[str], list[int]]]:
        """Short circles, of the worst kind first: the kinds of their edges and their nodes, in order."""
        knots = self._knots(("ww", "wr", "rw", "rt"), set(range(self.nodes)))
        if not knots:
            return
        tangled = set().union(*knots)
        seen: set[frozenset[int]] = set()
        for begin, along in (
            ("ww", ("ww",)),
            ("wr", ("ww", "wr")),
            ("rw", ("ww", "wr")),
            ("rw", ("ww", "wr", "rw")),
            ("ww", ("ww", "rt")),
            ("wr", ("ww", "wr", "rt")),
            ("rw", ("ww", "wr", "rt")),
            ("rw", ("ww", "wr", "rw", "rt")),
        ):
            for knot in self._knots(tuple(dict.fromkeys((begin, *along))), tangled):
                circle = self._circle(begin, along, knot)
                if circle is not None and frozenset(circle[1]) not in seen:
                    seen.add(frozenset(circle[1]))
                    yield circle

    def _circle(self, begin: str, along: tuple[str, ...], knot: set[int]) -> tuple[list[str], list[int]] | None:
        """A short circle within `knot` that begins with an edge of the kind `begin` and goes back along the others."""
        best: tuple[list[str], list[int]] | None = None
        starts = 0
        for origin in sorted(knot):
            for target in self.out[begin].get(origin, ()):
                if target not in knot:
                    continue
                starts += 1
                if starts > MAX_STARTS:
                    return best
                back = self._path(target, origin, along, knot)
                if back is not None and (best is None or len(back[1]) < len(best[1])):
                    best = [begin, *back[0]], [origin, *back[1][:-1]]
        return best

    def _path(
        self, origin: int, target: int, along: tuple[str, ...], knot: set[int]
    ) -> tuple[list[str], list[int]] | None:
        """A shortest path: the kinds of its edges, and its nodes with both ends."""
        came: dict[int, tuple[int, str]] = {origin: (origin, "")}
        queue = deque([origin])
        while queue:
            node = queue.popleft()
            if node == target:
                kinds, nodes = [], [node]
                while node != origin:
                    node, kind = came[node]
                    kinds.append(kind)
                    nodes.append(node)
                return kinds[::-1], nodes[::-1]
            for kind in along:
                for follower in self.out[kind].get(node, ()):
                    if follower in knot and follower not in came:
                        came[follower] = (node, kind)
                        queue.append(follower)
        return None

    def _knots(self, kinds: tuple[str, ...], within: set[int]) -> list[set[int]]:
        """The strongly connected components of several nodes (Tarjan, SIAM J. Comput. 1972, without recursion)."""
        maps = [self.out[kind] for kind in kinds if self.out[kind]]
        index: dict[int, int] = {}
        low: dict[int, int] = {}
        stack: list[int] = []
        on_stack: set[int] = set()
        knots: list[set[int]] = []

        def followers(node: int) -> Iterator[int]:
            for edges in maps:
                for follower in edges.get(node, ()):
                    if follower in within:
                        yield follower

        for root in sorted(within):
            if root in index:
                continue
            index[root] = low[root] = len(index)
            stack.append(root)
            on_stack.add(root)
            walk = [(root, followers(root))]
            while walk:
                node, ahead = walk[-1]
                for follower in ahead:
                    if follower not in index:
                        index[follower] = low[follower] = len(index)
                        stack.append(follower)
                        on_stack.add(follower)
                        walk.append((follower, followers(follower)))
                        break
                    if follower in on_stack:
                        low[node] = min(low[node], index[follower])
                else:
                    walk.pop()
                    if walk:
                        low[walk[-1][0]] = min(low[walk[-1][0]], low[node])
                    if low[node] == index[node]:
                        knot = set()
                        while node not in knot:
                            knot.add(stack.pop())
                        on_stack -= knot
                        if len(knot) > 1:
                            knots.append(knot)
        return knots

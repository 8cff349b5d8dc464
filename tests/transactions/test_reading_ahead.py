"""A statement run for one row after another: few round trips, and in all else as if nothing were read ahead."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from rome import dbapi
from rome.errors import Conflict, Error
from rome.sql.siblings import MAX_MISSES, SIZES
from rome.txn import distance
from tests.servers.stores import a_store, marked
from tests.transactions.speaker import Connect, Step, off, played, say, say_all, told

PARENTS = 20
GUARD = 1  # the cell with the catalogue's version
SCHEMA = (
    "CREATE TABLE parents (id INTEGER PRIMARY KEY, name VARCHAR(20))",
    "CREATE TABLE children (id INTEGER PRIMARY KEY, parent INTEGER, name VARCHAR(20))",
    "CREATE INDEX children_parent ON children (parent)",
    "CREATE TABLE others (id INTEGER PRIMARY KEY, name VARCHAR(20))",
    "INSERT INTO others VALUES (1, 'one')",
)
LIST = "SELECT id, name FROM parents ORDER BY id"
CHILDREN = "SELECT id, name FROM children WHERE parent = :parent ORDER BY id"


@pytest.fixture(params=marked(["memory", "lmdb", "redis"]))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty store, on each kind of store in turn."""
    with a_store(request.param, tmp_path) as url:
        yield url


def fill(connection: dbapi.Connection, parents: int = PARENTS, children: int = 2, name: str = "") -> None:
    """Parents 0 to `parents` - 1, their children numbered 10 * parent and so on."""
    say_all(connection, *SCHEMA)
    cursor = connection.cursor()
    cursor.executemany("INSERT INTO parents VALUES (?, ?)", [(each, f"parent {each}") for each in range(parents)])
    rows = [(10 * parent + each, parent, name or f"{each}") for parent in range(parents) for each in range(children)]
    cursor.executemany("INSERT INTO children VALUES (?, ?, ?)", rows)
    connection.commit()


def each(connection: dbapi.Connection, parents: list[int], sql: str = CHILDREN) -> list[Any]:
    return [say(connection, sql, {"parent": parent}) for parent in parents]


def look(connection: dbapi.Connection, first: int | None = None) -> list[Any]:
    """The list, then the children of its parents, or of the first so many."""
    listed = [row[0] for row in say(connection, LIST)]
    found = each(connection, listed[:first])
    connection.rollback()
    return found


def cost(connection: dbapi.Connection, run: Callable[[], object]) -> tuple[int, int]:
    """Waves, and cells that came back."""
    before = connection.counters
    run()
    after = connection.counters
    return after.waves - before.waves, after.keys - before.keys


# ---- what it saves


def test_a_loop_over_a_list_takes_a_few_round_trips_and_then_two_or_one(
    store: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distance, "NEAR_S", float("-inf"))
    one, plain = connect(store), connect(off(store))
    fill(one)
    found = look(plain)
    assert cost(plain, lambda: look(plain))[0] == 1 + PARENTS
    assert cost(one, lambda: look(one))[0] == 3, "the list, one that shows nothing, one that shows how it goes on"
    again = 1 if store.startswith("rome+redis") else 2  # there a whole transaction is foreseen, too
    assert cost(one, lambda: look(one))[0] == again, "in this process it went on like that before"
    assert look(one) == found
    assert one.counters.from_ahead > PARENTS and plain.counters.read_ahead == 0


def test_a_long_loop_takes_the_more_at_once_the_longer_it_goes_on(tmp_path: Path, connect: Connect) -> None:
    one = connect(f"rome+memory:///{tmp_path.name}")
    fill(one, 1000, 1)
    assert cost(one, lambda: look(one))[0] <= 7
    assert look(one) == [[(10 * parent, "0")] for parent in range(1000)]


def test_a_list_seen_from_its_end_is_read_ahead_backwards(url: str, connect: Connect) -> None:
    one = connect(url)
    fill(one, 200, 1)

    def backwards() -> None:
        each(one, [row[0] for row in say(one, LIST)][:-30:-1])
        one.rollback()

    assert cost(one, backwards)[0] == 3


def test_two_statements_for_each_row_are_both_read_ahead(url: str, connect: Connect) -> None:
    one = connect(url)
    fill(one)

    def both() -> None:
        for (parent, _) in say(one, LIST):
            say(one, CHILDREN, {"parent": parent})
            say(one, "SELECT count(*), :word FROM children WHERE parent = :parent", {"parent": parent, "word": "all"})
            say(one, "SELECT name FROM others WHERE id = :id", {"id": parent})
        one.rollback()

    # the count asks for nothing that the children have not shown; the others follow the parents, too
    assert cost(one, both)[0] <= 5


def test_explain_shows_what_was_read_ahead(url: str, connect: Connect) -> None:
    one = connect(url)
    fill(one)
    say(one, LIST)
    totals = [
        say(one, f"EXPLAIN ANALYZE {CHILDREN}", {"parent": parent})[-1][0].split(" time")[0] for parent in (0, 1, 2)
    ]
    assert "ahead" not in totals[0]
    assert f"waves=1 keys={2 * 2 * (PARENTS - 1)} " in totals[1] and f"read-ahead={PARENTS - 2}" in totals[1]
    assert totals[2] == "Total: waves=0 keys=0 bytes=0 from-ahead=1"


# ---- what it may cost


def test_who_stops_early_has_read_little_for_nothing(url: str, connect: Connect) -> None:
    one = connect(url)
    fill(one, 1000, 1)
    keys = [cost(one, lambda: look(one, 2))[1] for _ in range(4)]
    listed = 1000
    assert keys[0] == GUARD + listed + 2 * 2 + 2 * SIZES[0]
    assert max(keys) == keys[0], "and not again and again"


def test_who_stops_early_after_long_loops_is_soon_no_longer_guessed_at(url: str, connect: Connect) -> None:
    one = connect(url)
    fill(one, 40, 1)
    look(one)
    assert cost(one, lambda: look(one, 1))[1] > GUARD + 40 + 2
    for _ in range(5):
        look(one, 1)
    assert cost(one, lambda: look(one, 1))[1] == GUARD + 40 + 2


def test_a_statement_whose_siblings_no_one_asks_for_gets_no_more(url: str, connect: Connect) -> None:
    one = connect(url)
    fill(one, 1000, 1)

    def jumps() -> None:
        say(one, LIST)
        each(one, list(range(0, 1000, 50)))
        one.rollback()

    waves, keys = cost(one, jumps)
    assert waves == 21 and keys == GUARD + 1000 + 20 * 2 + 2 * SIZES[0]


def test_many_children_are_not_read_ahead_for_nothing_again_and_again(url: str, connect: Connect) -> None:
    one = connect(url)
    fill(one, 60, 1)
    rows = [(1000 + 100 * parent + child, parent, "x") for parent in range(2, 60) for child in range(90)]
    one.cursor().executemany("INSERT INTO children VALUES (?, ?, ?)", rows)
    one.commit()
    plain = connect(off(url))
    _, keys = cost(plain, lambda: look(plain))
    waves, more = cost(one, lambda: look(one))
    # each guess that fell short has read at most four of a parent's children, or four times as many as one had
    assert waves <= 61 and more <= keys + MAX_MISSES * 2 * 8192
    assert look(one) == look(plain)


def test_what_is_read_ahead_stays_within_bounds(tmp_path: Path, connect: Connect) -> None:
    one = connect(f"rome+memory:///{tmp_path.name}")
    fill(one, 200, 2, "x" * 20)
    large = [(10_000 + parent, parent, "n") for parent in range(200)]
    say_all(one, "ALTER TABLE children ADD COLUMN body TEXT")
    one.cursor().executemany("INSERT INTO children (id, parent, name) VALUES (?, ?, ?)", large)
    one.cursor().executemany(
        "UPDATE children SET body = ? WHERE id = ?", [("y" * 60_000, 10_000 + parent) for parent in range(200)]
    )
    one.commit()
    sql = "SELECT body FROM children WHERE parent = :parent ORDER BY id"
    say(one, LIST)
    held, came = [], [0]
    for parent in range(200):
        [_, _, (body,)] = say(one, sql, {"parent": parent})
        assert len(body) == 60_000
        view = one._opened()._transaction._view  # type: ignore[union-attr]
        held.append(0 if view._aside is None else view._aside._known._bytes)
        assert view._aside is None or bool(view._aside._whole) <= bool(view._aside._known)
        came.append(one._opened()._transaction.stats.bytes_read)  # type: ignore[union-attr]
    assert max(held) <= 16 << 20
    assert max(after - before for before, after in pairwise(came)) <= 5 << 20, "in one round trip"
    one.rollback()


# ---- what it must not change


def test_own_writes_are_seen_and_a_savepoint_takes_them_back(store: str, connect: Connect) -> None:
    one = connect(store)
    fill(one)
    say(one, LIST)
    each(one, [0, 1])
    say(one, "SAVEPOINT here")
    say(one, "UPDATE children SET name = 'mine' WHERE id = 20")
    say(one, "DELETE FROM children WHERE id = 30")
    say(one, "INSERT INTO children VALUES (42, 4, 'new')")
    assert each(one, [2, 3, 4]) == [
        [(20, "mine"), (21, "1")], [(31, "1")], [(40, "0"), (41, "1"), (42, "new")],
    ]  # fmt: skip
    say(one, "ROLLBACK TO SAVEPOINT here")
    assert each(one, [2, 3, 4]) == [[(10 * parent, "0"), (10 * parent + 1, "1")] for parent in (2, 3, 4)]
    one.commit()


def test_what_no_one_asked_for_conflicts_with_nothing(store: str, connect: Connect) -> None:
    one, two = connect(store), connect(store)
    fill(one)
    say(one, LIST)
    each(one, [0, 1])
    say_all(two, "UPDATE children SET name = 'theirs' WHERE id = 50", "INSERT INTO children VALUES (65, 6, 'theirs')")
    say(one, "UPDATE children SET name = 'mine' WHERE id = 0")
    one.commit()
    assert one.counters.read_ahead > 0
    assert one.counters.replays == 0


def test_what_was_asked_for_is_expected_like_all_that_is_read(store: str, connect: Connect) -> None:
    one, two = connect(store), connect(store)
    fill(one)
    say(one, LIST)
    found = each(one, [0, 1, 5])
    say_all(two, "UPDATE children SET name = 'theirs' WHERE id = 50")
    with pytest.raises(Conflict):
        say(one, "INSERT INTO others VALUES (:id, :name)", {"id": 2, "name": found[2][0][1]})
        one.commit()
    one.rollback()
    assert one.counters.from_ahead > 0

    say(one, LIST)
    assert each(one, [0, 1, 5])[2] == [(50, "theirs"), (51, "1")]
    say_all(two, "INSERT INTO children VALUES (55, 5, 'phantom')")
    with pytest.raises(Conflict):
        say(one, "INSERT INTO others VALUES (2, 'from what I saw')")
        one.commit()


def test_all_answers_are_of_one_state_whenever_others_write(store: str, connect: Connect) -> None:
    one, two = connect(store), connect(store)
    fill(one)
    say(one, LIST)
    each(one, [0, 1])
    say_all(two, "UPDATE children SET name = 'both' WHERE id = 50", "UPDATE others SET name = 'both' WHERE id = 1")
    [(other,)] = say(one, "SELECT name FROM others WHERE id = 1")  # a store without snapshots shows the new state
    [_, _, ((_, name), _)] = [*each(one, [2, 3]), *each(one, [5])]
    assert (other, name) in (("one", "0"), ("both", "both"))
    one.commit()


def test_read_committed_sees_what_is_committed_at_each_statement(store: str, connect: Connect) -> None:
    one, two = connect(store, "READ COMMITTED"), connect(store)
    fill(two)
    say(one, LIST)
    each(one, [0, 1])
    say_all(two, "UPDATE children SET name = 'new' WHERE id = 20")
    assert each(one, [2]) == [[(20, "new"), (21, "1")]]
    one.commit()
    assert one.counters.read_ahead == 0


def test_for_update_reads_nothing_ahead_and_sees_the_newest_rows(store: str, connect: Connect) -> None:
    one, two = connect(store), connect(store)
    fill(one)
    locking = CHILDREN + " FOR UPDATE"
    say(one, LIST)
    each(one, [0, 1, 2], locking)
    one.commit()
    assert one.counters.read_ahead == 0

    say(one, LIST)
    each(one, [0, 1])
    say_all(two, "UPDATE children SET name = 'new' WHERE id = 50")
    assert each(one, [5], locking) == [[(50, "new"), (51, "1")]]
    assert each(one, [5]) == [[(50, "new"), (51, "1")]]
    one.commit()


def test_a_replay_answers_alike(store: str, connect: Connect) -> None:
    one, two = connect(store), connect(store)
    fill(one)
    say(one, LIST)
    each(one, list(range(8)))
    say(one, "SELECT name FROM others WHERE id = 7")
    say(one, "UPDATE children SET name = name || 'x' WHERE parent = 3")
    say_all(two, "INSERT INTO children VALUES (75, 99, 'no one looks')", "UPDATE children SET parent = 3 WHERE id = 75")
    with pytest.raises(Conflict):
        one.commit()
    say(one, LIST)
    each(one, [0, 1, 2])
    say(one, "UPDATE children SET name = 'mine' WHERE id = 31")
    say_all(two, "UPDATE children SET name = 'theirs' WHERE id = 31")
    one.commit()
    assert one.counters.replayed_commits == 1
    assert each(one, [3]) == [[(30, "0"), (31, "mine"), (75, "no one looks")]]
    one.rollback()


def test_what_is_read_ahead_draws_no_random_number(url: str, connect: Connect) -> None:
    one, two = connect(url), connect(url)
    fill(one)
    sql = "SELECT name FROM children WHERE parent = :parent LIMIT 1 + CAST(random() * 0 AS INTEGER)"
    say(one, LIST)
    before = len(one._opened()._transaction.tape.values)  # type: ignore[union-attr]
    each(one, [1, 2, 3, 10], sql)
    say(one, "UPDATE others SET name = 'mine' WHERE id = 1")
    drawn = len(one._opened()._transaction.tape.values) - before  # type: ignore[union-attr]
    assert drawn == 5 + 4, "the time of each statement, and a number for each that draws one"
    say_all(two, "UPDATE others SET name = 'theirs' WHERE id = 1")
    one.commit()
    assert one.counters.replayed_commits == 1


def test_values_that_the_statement_cannot_take_are_left_to_whoever_asks(url: str, connect: Connect) -> None:
    one = connect(url)
    fill(one)
    sql = "SELECT name FROM children WHERE id = 100 / (:parent - 5)"
    say(one, LIST)
    assert each(one, [0, 1], sql) == [[], []]
    with pytest.raises(Error, match="zero"):
        each(one, [5], sql)
    assert each(one, [4, 15], sql) == [[], [("0",)]]
    one.rollback()


# ---- with and without

READS = (
    CHILDREN,
    "SELECT id, name FROM parents WHERE id = :parent",
    "SELECT c.name, p.name FROM children AS c JOIN parents AS p ON p.id = c.parent WHERE c.parent = :parent "
    "ORDER BY c.id",
    "SELECT p.id, c.name FROM parents AS p LEFT JOIN children AS c ON c.parent = p.id WHERE p.id = :parent ORDER BY 2",
    "SELECT count(*), max(name) FROM children WHERE parent = :parent",
    "SELECT name FROM children WHERE parent = :parent ORDER BY id LIMIT 1",
    "SELECT name FROM parents WHERE id = (SELECT min(parent) FROM children WHERE parent >= :parent)",
    "SELECT name FROM parents WHERE EXISTS (SELECT 1 FROM children WHERE parent = parents.id AND id = 10 * :parent)",
    "SELECT id FROM children WHERE id > 10 * :parent ORDER BY id LIMIT 3",
)
WRITES = (
    "UPDATE children SET name = name || '{n}' WHERE parent = {parent}",
    "UPDATE children SET name = '{n}' WHERE id = 10 * {parent}",
    "UPDATE children SET parent = {parent} WHERE id = 10 * {n}",
    "INSERT INTO children VALUES (10 * {parent} + 5, {parent}, '{n}')",
    "DELETE FROM children WHERE id = 10 * {parent}",
    "DELETE FROM children WHERE parent = {parent}",
    "UPDATE parents SET name = '{n}' WHERE id = {parent}",
    "DELETE FROM parents WHERE id = {parent}",
)


def script(chance: random.Random) -> list[Step]:
    """One transaction of `one`, that lists and loops, and what `two` commits meanwhile."""
    steps: list[Step] = []

    def write(who: str) -> None:
        sql = chance.choice(WRITES).format(parent=chance.randrange(PARENTS), n=chance.randrange(PARENTS))
        steps.append((who, sql, {}))

    savepoints = 0
    for _ in range(chance.randint(1, 4)):
        steps.append(("one", chance.choice((LIST, "SELECT DISTINCT parent FROM children ORDER BY parent DESC")), {}))
        statements = chance.sample(READS, chance.randint(1, 3))
        parents = list(range(PARENTS))
        if chance.random() < 0.5:
            parents = chance.choice((parents[::-1], parents[::3], chance.sample(parents, 7)))
        for parent in parents[: chance.randint(2, PARENTS)]:
            steps += [("one", sql, {"parent": parent}) for sql in statements]
            if chance.random() < 0.1:
                write("two")
            match chance.randrange(30):
                case 0:
                    steps.append(("one", f"SAVEPOINT s{savepoints}", {}))
                    savepoints += 1
                case 1 if savepoints:
                    savepoints -= 1
                    steps.append(("one", f"ROLLBACK TO SAVEPOINT s{savepoints}", {}))
                case 2:
                    write("one")
    return steps


def contents(connection: dbapi.Connection) -> list[Any]:
    found = [say(connection, f"SELECT * FROM {table} ORDER BY id") for table in ("parents", "children")]
    connection.rollback()
    return found


@pytest.mark.parametrize("level", ["SERIALIZABLE", "READ COMMITTED"])
def test_with_and_without_it_every_answer_is_the_same(tmp_path: Path, connect: Connect, level: str) -> None:
    """On a store with snapshots, where the time of a read makes no difference, other writers or not."""
    urls = [f"rome+lmdb:///{tmp_path}/{flag}?sync=none&prefetch={flag}" for flag in (1, 0)]
    pairs = [(connect(url, level), connect(url)) for url in urls]
    for one, _ in pairs:
        fill(one)
    chance = random.Random(5)
    ends = set()
    for number in range(40):
        steps = script(chance)
        answers, expected = [played(one, two, steps) for one, two in pairs]
        assert answers == expected, number
        ends.add(answers[-1])
        assert contents(pairs[0][1]) == contents(pairs[1][1])
    saving, plain = [one.counters for one, _ in pairs]
    assert plain.read_ahead == 0
    if level == "SERIALIZABLE":
        assert ends == {"done", "conflict"} and saving.waves < 0.8 * plain.waves
    else:
        assert saving.read_ahead == 0


def test_every_transaction_that_is_answered_so_could_have_run_alone(
    store: str, tmp_path: Path, connect: Connect
) -> None:
    """On every store: all answers are those of one state, of the last one if the transaction wrote and committed."""
    alone = 0
    chance = random.Random(6)
    one, two = connect(store), connect(store)
    fill(one)
    judge = connect(f"rome+memory:///{tmp_path.name}-judge?prefetch=0")
    say_all(judge, *SCHEMA)
    for number in range(12):
        steps = script(chance)
        states = [contents(two)]
        *answers, end = played(one, two, steps, lambda states=states: states.append(contents(two)))
        if end == "conflict" or "Conflict" in answers:
            continue
        own = [(sql, parameters) for who, sql, parameters in steps if who == "one"]
        wrote = any(not sql.startswith("SELECT") for sql, _ in own)
        candidates = states[-1:] if wrote and contents(two) != states[-1] else states
        assert any(_alone(judge, state, own) == answers for state in candidates), number
        alone += 1
    assert alone > 3 and one.counters.from_ahead > 0


def _alone(judge: dbapi.Connection, state: list[Any], steps: list[tuple[str, dict[str, int]]]) -> list[object]:
    """What a transaction is told that runs by itself on `state`."""
    for table, rows in zip(("parents", "children"), state, strict=True):
        say(judge, f"DELETE FROM {table}")
        places = ", ".join("?" * len(rows[0])) if rows else ""
        judge.cursor().executemany(f"INSERT INTO {table} VALUES ({places})", rows) if rows else None
    judge.commit()
    answers = [told(judge, sql, parameters) for sql, parameters in steps]
    judge.rollback()
    return answers

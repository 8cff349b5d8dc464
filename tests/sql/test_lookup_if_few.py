"""INNER joins of two sides that an index narrows: whichever way is taken, the same rows."""

from __future__ import annotations

from random import Random

import pytest

from rome import dbapi
from rome.sql import optimize
from rome.sql.execute import race
from rome.sql.optimize import look_up_if_few

JOINS = (
    "images JOIN properties AS p ON p.image_id = images.id AND p.name = :name WHERE images.owner = :owner",
    "images JOIN (SELECT image_id, value FROM properties WHERE name = :name AND value <> '3') AS p "
    "ON p.image_id = images.id WHERE images.owner = :owner AND images.size > 2",
    "images JOIN (SELECT DISTINCT image_id, value FROM properties WHERE name = :name) AS p "
    "ON images.id = p.image_id WHERE images.owner = :owner",
    "images JOIN properties AS p ON images.size = p.image_id AND p.name = :name WHERE images.owner IN (:owner, 'a')",
)


@pytest.mark.parametrize("seed", range(3))
def test_both_ways_find_the_same_rows(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(seed)
    monkeypatch.setattr(race, "FEW_ENTRIES", 12)
    monkeypatch.setattr(race, "RUNS_UNTIL_ANOTHER_TRY", 1)
    connection = dbapi.connect("rome+memory://")
    cursor = connection.cursor()
    for sql in (
        "CREATE TABLE images (id INTEGER NOT NULL PRIMARY KEY, owner VARCHAR(9), size INTEGER)",
        "CREATE INDEX by_owner ON images (owner)",
        "CREATE TABLE properties (id INTEGER NOT NULL PRIMARY KEY, image_id INTEGER, name VARCHAR(9), value TEXT)",
        "CREATE INDEX by_name ON properties (name)",
    ):
        cursor.execute(sql)
    for number in range(120):
        row = {"n": number, "owner": random.choice("abbb"), "size": random.choice([None, 1, 2, 3, 4])}
        cursor.execute("INSERT INTO images VALUES (:n, :owner, :size)", row)
        name = random.choice(["rare", *["common"] * 9]) if number % 7 else "none"
        row = {"n": number, "image": random.choice([None, number, 4]), "name": name, "value": str(number % 5)}
        cursor.execute("INSERT INTO properties VALUES (:n, :image, :name, :value)", row)
    connection.commit()
    taken = []
    few = race.ScanRows.few

    def noted(*given: object) -> object:
        rows = yield from few(*given)
        taken.append(rows is not None)
        return rows

    monkeypatch.setattr(race.ScanRows, "few", noted)
    rules = optimize.RULES
    for number in range(200):
        if number % 20 == 7:  # own writes are looked up, too
            cursor.execute("UPDATE images SET owner = 'a' WHERE id = :n", {"n": number % 120})
        joined = random.choice(JOINS)
        columns = "images.id, images.size, p.value"
        sql = f"SELECT {random.choice(['count(*)', columns])} FROM {joined}"
        parameters = {"name": random.choice(["rare", "common", "none", "nothing"]), "owner": random.choice("abc")}
        cursor.execute(sql, parameters)
        found = sorted(map(str, cursor.fetchall()))
        monkeypatch.setattr(optimize, "RULES", tuple(rule for rule in rules if rule is not look_up_if_few))
        cursor.execute(sql + " ", parameters)  # another text, so planned anew
        monkeypatch.setattr(optimize, "RULES", rules)
        assert found == sorted(map(str, cursor.fetchall())), (sql, parameters)
    assert taken.count(True) > 10 and taken.count(False) > 5, "both ways are taken"
    connection.close()

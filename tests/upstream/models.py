"""Two related classes, one that takes part in soft deletion, and one that threads compete for."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Integer, String
from sqlalchemy.orm import backref, declarative_base, relationship

from rome.core.models import Entity, global_scope
from rome.utils.secondary_index_decorator import secondary_index_decorator

Base = declarative_base()


class Painter(Base):
    __tablename__ = "painters"

    id = Column(Integer, primary_key=True)
    name = Column(String(40))
    born = Column(Integer)


class Picture(Base):
    __tablename__ = "pictures"

    id = Column(Integer, primary_key=True)
    title = Column(String(40))
    price = Column(Integer)
    painter_id = Column(Integer, ForeignKey("painters.id"))
    painter = relationship(Painter, backref=backref("pictures", order_by=id), foreign_keys=painter_id)


@global_scope
@secondary_index_decorator("name")
class Horse(Base, Entity):
    __tablename__ = "horses"

    id = Column(Integer, primary_key=True)
    name = Column(String(40))
    stable_id = Column(Integer, ForeignKey("stables.id"))


@global_scope
class Stable(Base, Entity):
    __tablename__ = "stables"

    id = Column(Integer, primary_key=True)
    town = Column(String(40))
    horses = relationship(Horse, backref="stable", order_by=Horse.id)


class Address(Base):
    __tablename__ = "addresses"

    id = Column(Integer, primary_key=True)
    taken = Column(Boolean, nullable=False)
    network_id = Column(Integer)


def gallery() -> list[Base]:
    """Three painters, the first without pictures, the others with four each, and one picture of nobody."""
    painters = [Painter(id=number, name=f"Painter{number}", born=1800 + 10 * number) for number in (1, 2, 3)]
    pictures = [
        Picture(id=number, title=f"Picture{number}", price=200 + 50 * (number % 3), painter_id=2 + (number > 4))
        for number in range(1, 9)
    ]
    return [*painters, *pictures, Picture(id=9, title="Found", price=None, painter_id=None)]

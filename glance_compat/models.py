"""Glance's model classes: the very ones that its wheel ships.

`metadata` holds the tables of images, tasks and the cache; `metadef_metadata` those of the metadata definitions. They
share no foreign key, so the order in which they are created does not matter.
"""

from __future__ import annotations

from glance.db.sqlalchemy.models import (
    BASE,
    CachedImages,
    Image,
    ImageLocation,
    ImageMember,
    ImageProperty,
    ImageTag,
    NodeReference,
    Task,
    TaskInfo,
)
from glance.db.sqlalchemy.models_metadef import (
    BASE_DICT,
    MetadefNamespace,
    MetadefNamespaceResourceType,
    MetadefObject,
    MetadefProperty,
    MetadefResourceType,
    MetadefTag,
)

metadata = BASE.metadata
metadef_metadata = BASE_DICT.metadata

__all__ = [
    "CachedImages",
    "Image",
    "ImageLocation",
    "ImageMember",
    "ImageProperty",
    "ImageTag",
    "MetadefNamespace",
    "MetadefNamespaceResourceType",
    "MetadefObject",
    "MetadefProperty",
    "MetadefResourceType",
    "MetadefTag",
    "NodeReference",
    "Task",
    "TaskInfo",
    "metadata",
    "metadef_metadata",
]

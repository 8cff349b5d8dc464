"""The stores: `api` is the interface with its promises, `open` the registry of URLs; beside them a driver a store.

A driver is one module or one package.
"""

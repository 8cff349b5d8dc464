"""The stores: `api` is the interface with its promises, `open` the registry of URLs, one module a store beside them."""

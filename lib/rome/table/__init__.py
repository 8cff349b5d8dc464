"""Tables on ordered keys: schemas, the catalogue, rows, constraints, and the two encodings."""

"""The import paths of the first version of ROME: re-exports of `rome.orm`, and docs/upstream.md says of what."""

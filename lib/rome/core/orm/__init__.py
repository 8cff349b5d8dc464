"""Query and its exceptions: re-exports."""

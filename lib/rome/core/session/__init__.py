"""Session and what goes with it: re-exports."""

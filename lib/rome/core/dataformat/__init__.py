"""Values as JSON: re-exports."""

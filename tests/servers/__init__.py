"""Private servers for tests: each starts on a free port in a directory of its own and is killed at the end."""

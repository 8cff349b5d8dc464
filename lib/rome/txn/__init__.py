"""Transactions: reads in waves, buffered writes, one serializable commit, replay of what met a conflict."""

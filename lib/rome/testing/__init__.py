"""Conformance suites that ship with ROME, and the instruments they use. No floor imports them."""

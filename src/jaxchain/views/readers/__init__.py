"""Readers: an eager graph, a jaxpr or HLO text to a `Graph`. They know no writer."""

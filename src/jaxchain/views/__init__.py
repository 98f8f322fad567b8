"""Views: the eager graph, the jaxpr and the HLO of one model, as one kind of graph."""

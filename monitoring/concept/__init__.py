"""Concept drift: has the relation between inputs and outcomes changed, judged by the stream of losses."""

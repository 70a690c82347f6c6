"""Embedding network with sub-cluster AdaCos."""

"""Prefect on top of DVC: order, retries, parallel stages, cancellation and a user interface; and where a model comes from. No computation."""

"""Prefect on top of DVC: order, retries, parallel stages, cancellation and a user interface; no computation."""

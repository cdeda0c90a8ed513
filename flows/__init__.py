"""Prefect on top of DVC: order, retries, parallel stages, cancelling and something to look at; no computation."""

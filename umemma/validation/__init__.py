"""The gate between data and training."""

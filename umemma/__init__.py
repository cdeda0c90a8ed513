"""Train and judge multi-modal models that keep working when a modality is missing (arXiv 2310.06383)."""

"""Training towers and arms."""

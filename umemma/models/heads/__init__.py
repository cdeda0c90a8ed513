"""Fusion heads: `fuse.head: NAME` is the module NAME here, with a class `Head`."""

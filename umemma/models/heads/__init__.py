"""Fusion-head plug-ins: `fuse.head: NAME` is the module NAME here, with a class `Head`.

`umemma.models.late_fusion` loads them by name; nothing else here is for use from outside.
"""

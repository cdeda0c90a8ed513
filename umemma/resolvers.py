"""Restricts `${...}` in composed parameters to values of the parameters themselves.

OmegaConf and Hydra bring resolvers of their own. `-S 'arm=${oc.env:TOKEN}'` would print a secret in the error about
`arm`, or keep it in params.yaml, in git and in every report; the time of day would make parameters differ from run to
run. conf/ needs none of them, so they are unregistered rather than searched for in overrides, where they can be spelt
in many ways.
"""

FOREIGN = (
    "oc.create",
    "oc.decode",
    "oc.deprecated",
    "oc.dict.keys",
    "oc.dict.values",
    "oc.env",
    "oc.select",
    "hydra",
    "now",
    "python_version",
)


def forget_foreign() -> None:
    """Unregister these resolvers in this process; Hydra registers its own three again whenever it is initialised."""
    from omegaconf import OmegaConf

    for name in FOREIGN:
        OmegaConf.clear_resolver(name)

"""What `umemma monitor` takes for a change, and when it says that it cannot know."""

from typing import Annotated

from pydantic import Field

from umemma.settings import Count, Fraction, Section


class Settings(Section):
    """Each is an option of `umemma monitor`."""

    significance: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """p below which something differs, after Holm's correction for all that is compared with it"""
    loss: Fraction = 0.02
    """accuracy that may be lost: an alert if all of the interval lies further below the tested one"""
    moved: Fraction = 0.1
    """change of a modality that is an alert: of its presence, or of P(a value of today > one of the test) from 0.5"""
    unseen: Fraction = 0.01
    """share of rows from which nothing may be known, before no number is given"""
    least_reference: Count = 30
    """test samples, as their weights leave them, that a pattern needs"""
    odds: Annotated[float, Field(ge=1)] = 2.0
    """factor that the odds of being right may have changed by, where only bounds are given"""
    rows: Count = 200_000
    """answers that are compared; of more, every n-th is"""

"""Distillation with softened, truncated and sparse teachers: operators, evidence and provenance.

Import the modules you need (``from kdlib import operators``). This file imports nothing, so that
``import kdlib`` stays cheap and works without the optional packages.
"""

__version__ = "0.1.0"

"""Evidence: checks that are performed where they are stated, and the records they leave.

Import from here. `about` binds the label that the checks of one statement share; `stated` and
`notation` declare the numbers and formulas that a statement shows.
"""

from kdlib.confidence import Estimate, confidence_interval
from kdlib.evidence.boxes import certified_box, prove_positive
from kdlib.evidence.checks import about, cited, counterexample, derived, exact, measured
from kdlib.evidence.formulas import certified_smt, find_witness, prove_smt
from kdlib.evidence.settling import EvidenceError, Refuted, Undecided
from kdlib.evidence.stated import Named, notation, stated
from kdlib.records import Evidence

__all__ = [
    "Estimate",
    "Evidence",
    "EvidenceError",
    "Named",
    "Refuted",
    "Undecided",
    "about",
    "certified_box",
    "certified_smt",
    "cited",
    "confidence_interval",
    "counterexample",
    "derived",
    "exact",
    "find_witness",
    "measured",
    "notation",
    "prove_positive",
    "prove_smt",
    "stated",
]

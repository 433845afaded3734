"""Stage 04, synthesis (APIGen): an executable API library, samplers, a template generator, three checks.

``generate`` gives unchecked samples, ``synthesize`` verified trajectories with the count table.
"""

from xlam_lib.synthesis.checks import execution_check, format_check
from xlam_lib.synthesis.execute import Limits, Outcome, Pool
from xlam_lib.synthesis.generators import Generator, ModelGenerator, TemplateGenerator
from xlam_lib.synthesis.library import LIBRARY
from xlam_lib.synthesis.pipeline import Cost, Counts, Funnel, Result, check_all, synthesize
from xlam_lib.synthesis.registry import Function, Registry
from xlam_lib.synthesis.sampler import CATEGORIES, FUNCTIONS, TOOLS, generate
from xlam_lib.synthesis.samples import STYLES, Sample, Slot
from xlam_lib.synthesis.semantic import RuleJudge, grounded, semantic_check
from xlam_lib.synthesis.signatures import tool_of

__all__ = [
    "CATEGORIES",
    "FUNCTIONS",
    "LIBRARY",
    "STYLES",
    "TOOLS",
    "Cost",
    "Counts",
    "Function",
    "Funnel",
    "Generator",
    "Limits",
    "ModelGenerator",
    "Outcome",
    "Pool",
    "Registry",
    "Result",
    "RuleJudge",
    "Sample",
    "Slot",
    "TemplateGenerator",
    "check_all",
    "execution_check",
    "format_check",
    "generate",
    "grounded",
    "semantic_check",
    "synthesize",
    "tool_of",
]

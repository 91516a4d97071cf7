"""Checks before anything is built or trained: every error of a config at once, with its place and the fix."""

from toolkit.runner.preflight.check import check
from toolkit.runner.preflight.classes import num_classes_problems
from toolkit.runner.preflight.data import check_data
from toolkit.runner.preflight.problems import PreflightError, Problem

__all__ = ["PreflightError", "Problem", "check", "check_data", "num_classes_problems"]

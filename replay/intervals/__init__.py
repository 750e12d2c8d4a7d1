"""Confidence intervals of a policy's value, one method a module."""

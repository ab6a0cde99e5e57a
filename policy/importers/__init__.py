"""Policies that other stacks trained, made into sealed bundles. Their files are data: nothing in them is run."""

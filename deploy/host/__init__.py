"""Beside the robot: what a person runs on a workstation."""

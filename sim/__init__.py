"""Worlds: training engines, the velocity task, the twin that stands in for the robot, and evaluation through the wire."""

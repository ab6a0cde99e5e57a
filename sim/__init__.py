"""Worlds: training engines, the velocity task, the twin that stands in for the robot, evaluation through the wire."""

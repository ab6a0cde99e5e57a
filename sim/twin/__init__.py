"""A simulated Go1 that speaks the robot's own wire protocol and stands in for it everywhere."""

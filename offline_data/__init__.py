"""From the robot's logs to data sets a learner can trust."""

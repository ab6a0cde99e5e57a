"""What a Go1 is: the one copy of every fact about the robot."""

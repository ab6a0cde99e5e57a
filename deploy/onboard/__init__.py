"""What runs on the robot: Python >= 3.8 with numpy, onnxruntime, pyyaml and mcap, nothing heavier."""

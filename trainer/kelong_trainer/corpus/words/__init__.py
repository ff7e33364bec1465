"""What is said: recognised, checked against a second look, laid onto times, made into labels."""

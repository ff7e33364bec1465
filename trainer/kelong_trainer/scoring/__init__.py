"""What each checkpoint sounds like: its auditions, spoken and judged beside the training."""

"""What the stages work with: recordings as sound, cuts, labels and the features of clips."""

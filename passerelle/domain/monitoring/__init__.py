"""What follows from what windows showed: incidents that people are told of, and retraining."""

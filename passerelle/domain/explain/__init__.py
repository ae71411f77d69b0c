"""What a model's answers are made of: Shapley values, importance, dependence, local surrogates. Pure functions."""

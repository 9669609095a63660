"""What is asked about a model's answers: scorers of toxicity and judges, local ones and services."""

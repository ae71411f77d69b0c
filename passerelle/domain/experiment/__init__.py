"""From challenger to champion: what two models show beside each other, in the shadow or in an A/B test."""

"""What a cluster must have before Tandem works in it, and what looks odd: findings, from what was read."""

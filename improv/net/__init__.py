"""The network: what it reads, what it answers, and how an answer is drawn from it."""

"""Values and rules of music; imports nothing else of ours."""

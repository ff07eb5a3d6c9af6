"""A trained network as a folder that plays."""

"""The report of a corpus: one HTML page that needs nothing but itself, and the clips beside it to be heard."""

"""Do item features pay in session-based recommendation, and which way of fusing them is best?

The package behind the study: data -> models -> training -> evaluation -> statistics -> figures.
Importing it loads nothing heavy; `torch` arrives with the first network.
"""

__version__ = "0.1.0"

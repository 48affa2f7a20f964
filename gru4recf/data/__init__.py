"""Data: atomic files, event logs and registered data sets in; sessions, features, splits and batches out."""

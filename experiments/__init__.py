"""Experiments: one question in each file, answered by a run that writes figures, pictures and settings to a folder.

``python -m experiments`` lists them. Each is a frozen dataclass of options with a method ``run``; ``experiment.py``
holds what they share, ``runs.py`` the folder and the report, ``plots.py`` the pictures, ``data.py`` the data sets.
"""

"""Experiments: one question a file, answered by a run that leaves its figures, pictures and settings in a folder.

``python -m experiments`` lists them. Each is a frozen dataclass of options with a method ``run``; ``experiment.py``
holds what they share, ``runs.py`` the folder and the report, ``plots.py`` the pictures, ``data.py`` the data sets.
"""

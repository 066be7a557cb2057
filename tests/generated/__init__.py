"""Models that nobody thought of: random compositions of random layers on random shapes.

leaves/    how a layer that is no combinator is drawn for a shape; a family adds its own in a file of that folder
grammar    how layers and combinators are put together
property   what holds for every model, and the worst case met
summary    what was met, after the tests
"""
